using System.Text;

namespace ShardCloud.Routing;

/// <summary>Unicode Normalization Form C (UAX #15), from a table of our own.</summary>
/// <remarks>
/// Not <c>string.Normalize</c>: with invariant globalization it returns its input unchanged, and with ICU its answer depends on the
/// machine's ICU version. All members must compute the same key for ever, or one endpoint would have two names.
/// </remarks>
internal static partial class Nfc
{
    private const int HangulSyllables = 0xAC00, HangulL = 0x1100, HangulV = 0x1161, HangulT = 0x11A7;
    private const int VowelCount = 21, TrailCount = 28, SyllableCount = 19 * VowelCount * TrailCount;
    private const uint Composes = 0x8000_0000;

    private static readonly Dictionary<int, (int First, int Second)> Parts = [];
    private static readonly Dictionary<(int First, int Second), int> Whole = [];
    private static readonly Dictionary<int, byte> Class = [];

    static Nfc()
    {
        for (var i = 0; i < Decompositions.Length; i += 3)
        {
            var (character, first, second) = ((int)(Decompositions[i] & ~Composes), (int)Decompositions[i + 1], (int)Decompositions[i + 2]);
            Parts[character] = (first, second);
            if ((Decompositions[i] & Composes) != 0) Whole[(first, second)] = character;
        }
        for (var i = 0; i < CombiningClasses.Length; i += 3)
            for (var character = CombiningClasses[i]; character <= CombiningClasses[i + 1]; character++)
                Class[(int)character] = (byte)CombiningClasses[i + 2];
    }

    /// <summary>The text in NFC; text must be well-formed UTF-16.</summary>
    public static string Normalise(string text)
    {
        if (!text.AsSpan().ContainsAnyExceptInRange('\0', '\u02ff')) return text; // Below U+0300 every character is NFC already.

        var points = new List<int>(text.Length);
        foreach (var rune in text.EnumerateRunes()) Decompose(rune.Value, points);
        Order(points);
        Compose(points);

        var result = new StringBuilder(points.Count);
        Span<char> utf16 = stackalloc char[2];
        foreach (var point in points) result.Append(utf16[..new Rune(point).EncodeToUtf16(utf16)]);
        return result.ToString();
    }

    private static void Decompose(int point, List<int> into)
    {
        if (point - HangulSyllables is >= 0 and < SyllableCount and var syllable)
        {
            into.Add(HangulL + syllable / (VowelCount * TrailCount));
            into.Add(HangulV + syllable % (VowelCount * TrailCount) / TrailCount);
            if (syllable % TrailCount != 0) into.Add(HangulT + syllable % TrailCount);
        }
        else if (Parts.TryGetValue(point, out var parts))
        {
            Decompose(parts.First, into);
            if (parts.Second != 0) Decompose(parts.Second, into);
        }
        else
        {
            into.Add(point);
        }
    }

    // Canonical ordering: a stable sort of each run of non-starters by class (insertion sort: runs are short).
    private static void Order(List<int> points)
    {
        for (var i = 1; i < points.Count; i++)
        {
            var (point, rank) = (points[i], ClassOf(points[i]));
            if (rank == 0) continue;
            var at = i;
            for (; at > 0 && ClassOf(points[at - 1]) > rank; at--) points[at] = points[at - 1];
            points[at] = point;
        }
    }

    private static void Compose(List<int> points)
    {
        var (starter, kept, lastClass) = (-1, 0, 0);
        for (var i = 0; i < points.Count; i++)
        {
            var (point, rank) = (points[i], ClassOf(points[i]));
            // Blocked (UAX #15 D115) when something of the same or a higher class stands between starter and point.
            var adjacent = starter == kept - 1;
            if (starter >= 0 && (adjacent || lastClass < rank) && Pair(points[starter], point) is var whole and not 0)
            {
                points[starter] = whole;
                continue;
            }
            if (rank == 0) starter = kept;
            lastClass = rank;
            points[kept++] = point;
        }
        points.RemoveRange(kept, points.Count - kept);
    }

    private static int Pair(int first, int second)
    {
        if (first - HangulL is >= 0 and < 19 and var lead && second - HangulV is >= 0 and < VowelCount and var vowel)
            return HangulSyllables + (lead * VowelCount + vowel) * TrailCount;
        if (first - HangulSyllables is >= 0 and < SyllableCount and var syllable && syllable % TrailCount == 0 && second - HangulT is > 0 and < TrailCount and var trail)
            return first + trail;
        return Whole.GetValueOrDefault((first, second));
    }

    private static int ClassOf(int point) => Class.GetValueOrDefault(point);
}
