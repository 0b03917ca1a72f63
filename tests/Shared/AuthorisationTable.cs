namespace ShardCloud.Tests;

/// <summary>Who may call what, as docs/operating/identity.md says it; copied beside the tests.</summary>
internal static class AuthorisationTable
{
    /// <summary>Call, caller and what comes of it, for the rows that are asked for.</summary>
    public static TheoryData<string, string, string> Cells(Func<string, bool> isAsked)
    {
        var rows = File.ReadLines(Path.Combine(AppContext.BaseDirectory, "identity.md"))
            .SkipWhile(line => !line.StartsWith("| call |", StringComparison.Ordinal)).TakeWhile(line => line.StartsWith('|'))
            .Where(line => !line.StartsWith("| ---", StringComparison.Ordinal)).Select(line => line.Trim('|').Split('|', StringSplitOptions.TrimEntries)).ToList();
        var cells = new TheoryData<string, string, string>();
        foreach (var row in rows.Skip(1).Where(row => isAsked(row[0])))
            for (var column = 1; column < row.Length; column++) cells.Add(row[0].Trim('`'), rows[0][column], row[column]);
        return cells;
    }
}
