using Spectre.Console;

namespace ShardCloud.Cli.Output;

/// <summary>The one look of the command's tables: a row a line, cells that do not break.</summary>
internal static class Tables
{
    public static Table Plain(params string[] columns)
    {
        var table = new Table().Border(TableBorder.Simple).AddColumns(columns);
        foreach (var column in table.Columns) column.NoWrap().PadRight(1).PadLeft(0);
        return table;
    }
}
