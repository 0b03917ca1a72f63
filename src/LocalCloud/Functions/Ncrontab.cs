using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace ShardCloud.LocalCloud.Functions;

/// <summary>A timer schedule of six fields: second minute hour day month weekday; each a list of values, ranges and steps. Five fields: second 0.</summary>
/// <remarks>Times are UTC. Day and weekday must both match, as in the NCrontab library that the real host uses (cron would take either).</remarks>
public sealed class Ncrontab
{
    /// <summary>A schedule that no date matches within this time (a 30th of February) has no next time.</summary>
    private const int SearchYears = 8;

    private static readonly string[] Months = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
    private static readonly string[] Days = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

    private readonly ulong _seconds, _minutes, _hours, _days, _months, _weekdays;

    private Ncrontab(string text, ulong[] fields)
    {
        Text = text;
        (_seconds, _minutes, _hours, _days, _months, _weekdays) = (fields[0], fields[1], fields[2], fields[3], fields[4], fields[5]);
    }

    /// <summary>The schedule as written.</summary>
    public string Text { get; }

    /// <summary>Reads a schedule.</summary>
    /// <param name="text">The schedule.</param>
    /// <param name="schedule">The result.</param>
    /// <param name="error">What is wrong with it: the end of a sentence that begins with the schedule.</param>
    public static bool TryParse(string text, [NotNullWhen(true)] out Ncrontab? schedule, out string error)
    {
        schedule = null;
        var parts = text.Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);
        if (parts.Length == 5) parts = ["0", .. parts];
        if (parts.Length != 6)
        {
            error = $"has {parts.Length} fields";
            return false;
        }

        (int Low, int High, string[]? Names, int NamesFrom)[] rules = [(0, 59, null, 0), (0, 59, null, 0), (0, 23, null, 0), (1, 31, null, 0), (1, 12, Months, 1), (0, 6, Days, 0)];
        var fields = new ulong[6];
        for (var i = 0; i < 6; i++)
        {
            if (ParseField(parts[i], rules[i].Low, rules[i].High, rules[i].Names, rules[i].NamesFrom) is not { } bits)
            {
                error = $"has '{parts[i]}' as field {i + 1}, where {rules[i].Low} to {rules[i].High} is possible";
                return false;
            }

            fields[i] = bits;
        }

        schedule = new Ncrontab(text, fields);
        error = "";
        return true;
    }

    /// <summary>The first time after the given one (UTC, whole seconds), or null if the schedule never comes.</summary>
    public DateTime? Next(DateTime after)
    {
        var limit = after.AddYears(SearchYears);
        for (var day = after.Date; day <= limit; day = day.AddDays(1))
        {
            if (!Has(_months, day.Month))
            {
                day = new DateTime(day.Year, day.Month, DateTime.DaysInMonth(day.Year, day.Month), 0, 0, 0, DateTimeKind.Utc);
                continue;
            }

            if (!Has(_days, day.Day) || !Has(_weekdays, (int)day.DayOfWeek)) continue;
            if (NextOnDay(day, day == after.Date ? after.TimeOfDay : TimeSpan.FromTicks(-1)) is { } found) return found;
        }

        return null;
    }

    private DateTime? NextOnDay(DateTime day, TimeSpan after)
    {
        for (var h = Math.Max(0, after.Hours); h < 24; h++)
        {
            if (!Has(_hours, h)) continue;
            for (var m = 0; m < 60; m++)
            {
                if (!Has(_minutes, m) || new TimeSpan(h, m, 59) <= after) continue;
                for (var s = 0; s < 60; s++)
                    if (Has(_seconds, s) && new TimeSpan(h, m, s) > after) return DateTime.SpecifyKind(day + new TimeSpan(h, m, s), DateTimeKind.Utc);
            }
        }

        return null;
    }

    private static ulong? ParseField(string text, int low, int high, string[]? names, int namesFrom)
    {
        ulong bits = 0;
        foreach (var item in text.Split(','))
        {
            var slash = item.Split('/');
            var step = 1;
            if (slash.Length > 2 || (slash.Length == 2 && (!int.TryParse(slash[1], NumberStyles.None, CultureInfo.InvariantCulture, out step) || step < 1))) return null;

            int from, to;
            var range = slash[0].Split('-');
            if (slash[0] == "*") (from, to) = (low, high);
            else if (range.Length > 2 || Value(range[0]) is not { } first) return null;
            else if (range.Length == 1) (from, to) = (first, slash.Length == 2 ? high : first); // "5/15": from 5 on
            else if (Value(range[1]) is not { } last) return null;
            else (from, to) = (first, last);

            if (from < low || to > high || from > to) return null;
            for (var i = from; i <= to; i += step) bits |= 1UL << i;
        }

        return bits;

        int? Value(string word)
        {
            if (int.TryParse(word, NumberStyles.None, CultureInfo.InvariantCulture, out var number)) return number;
            var index = names is null ? -1 : Array.FindIndex(names, n => n.Equals(word, StringComparison.OrdinalIgnoreCase));
            return index < 0 ? null : index + namesFrom;
        }
    }

    private static bool Has(ulong bits, int value) => (bits >> value & 1) != 0;
}
