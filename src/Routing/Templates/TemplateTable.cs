namespace ShardCloud.Routing;

/// <summary>Matches request paths to endpoint keys. Immutable; a path of plain ASCII is matched without allocating.</summary>
/// <remarks>
/// The longest matching template wins; among equally long ones, literals beat names from the left. A path is judged as the application
/// will see it, after the web server has removed dot segments, so dot segments are refused anywhere in the path and not only in the key.
/// </remarks>
public sealed class TemplateTable
{
    /// <summary>Most segments of a pattern.</summary>
    public const int SegmentsMax = 8;

    /// <summary>Most templates of a table: the candidates of a match are one 64-bit mask.</summary>
    public const int TemplatesMax = 64;

    /// <summary>No templates: any shard may serve any path.</summary>
    public static readonly TemplateTable Empty = new([]);

    private readonly Template[] _templates;
    private readonly int _depth;

    /// <summary>Parses the patterns.</summary>
    /// <exception cref="ShardCloudException">SC1003: not a pattern, the same one twice, or too many.</exception>
    public TemplateTable(IEnumerable<TemplateSpec> specs)
    {
        _templates = [.. specs.Select(spec => new Template(spec)).OrderByDescending(t => t.Segments.Length).ThenBy(t => t.Specificity).ThenBy(t => t.Spec.Pattern, StringComparer.Ordinal)];
        _depth = _templates.Length == 0 ? 0 : _templates[0].Segments.Length;
        if (_templates.Length > TemplatesMax)
            throw new ShardCloudException(ErrorCodes.BadTemplate, $"There are {_templates.Length} templates; at most {TemplatesMax} are live at once.", "Use fewer, shorter templates: one matches a path prefix.");
        for (var i = 0; i < _templates.Length; i++)
            for (var j = 0; j < i; j++)
                if (_templates[i].SameKeys(_templates[j]))
                    throw new ShardCloudException(ErrorCodes.BadTemplate, $"'{_templates[i].Spec.Pattern}' and '{_templates[j].Spec.Pattern}' name the same endpoints.", "Remove one of the two.");
        Specs = [.. _templates.Select(t => t.Spec)];
        HasConvergent = Specs.Any(spec => spec.Mode == Mode.Convergent);
    }

    /// <summary>The templates, most specific first.</summary>
    public IReadOnlyList<TemplateSpec> Specs { get; }

    /// <summary>True when the endpoints of some template are convergent.</summary>
    public bool HasConvergent { get; }

    /// <summary>The mode of an endpoint: that of the most specific template whose endpoints have keys like its own; exclusive where there is none.</summary>
    public Mode ModeOf(EndpointId endpoint)
    {
        if (!HasConvergent) return Mode.Exclusive;
        var key = endpoint.Value.AsSpan();
        var (alive, depth) = (_templates.Length == 64 ? ulong.MaxValue : (1UL << _templates.Length) - 1, 0);
        foreach (var segment in key.Split('/')) alive = Survivors(alive, depth++, key[segment]);
        return Complete(alive, depth) is var complete and >= 0 ? _templates[complete].Spec.Mode : Mode.Exclusive;
    }

    /// <summary>Finds the endpoint of a path and writes its normalised key.</summary>
    /// <param name="rawPath">The path as it stood in the request line: still percent-encoded; a query is ignored.</param>
    /// <param name="keyBuffer">Takes the key; <see cref="EndpointId.BytesMax"/> characters are enough.</param>
    /// <param name="keyLength">Characters written; 0 without a match.</param>
    /// <param name="template">The template that matched.</param>
    public MatchResult Match(ReadOnlySpan<char> rawPath, Span<char> keyBuffer, out int keyLength, out TemplateSpec? template)
    {
        (keyLength, template) = (0, null);
        var query = rawPath.IndexOfAny('?', '#');
        var path = query < 0 ? rawPath : rawPath[..query];
        if (_templates.Length == 0 || path.Length == 0 || path[0] != '/') return MatchResult.NoTemplate;
        if (HasDotSegment(path)) return MatchResult.Malformed;

        var alive = _templates.Length == 64 ? ulong.MaxValue : (1UL << _templates.Length) - 1;
        var (best, bestLength, written) = (-1, 0, 0);
        var rest = path[1..];
        for (var depth = 0; depth < _depth && alive != 0; depth++)
        {
            var slash = rest.IndexOf('/');
            var raw = slash < 0 ? rest : rest[..slash];
            if (raw.Length == 0 && slash < 0) break; // End of the path, with or without a trailing slash.

            if (depth > 0 && !TryAppend(keyBuffer, ref written, '/')) return MatchResult.Malformed;
            var start = written;
            if (!SegmentText.TryNormalise(raw, keyBuffer, ref written)) return MatchResult.Malformed;

            alive = Survivors(alive, depth, keyBuffer[start..written]);
            if (Complete(alive, depth + 1) is var complete and >= 0) (best, bestLength) = (complete, written);
            if (slash < 0) break;
            rest = rest[(slash + 1)..];
        }

        if (best < 0) return MatchResult.NoTemplate;
        if (!EndpointKey.IsKey(keyBuffer[..bestLength])) return MatchResult.Malformed;
        (keyLength, template) = (bestLength, _templates[best].Spec);
        return MatchResult.Match;
    }

    /// <summary>A pair of templates, one of each table, that give some path two different keys or modes; null when the tables agree.</summary>
    public (TemplateSpec Mine, TemplateSpec Theirs)? ConflictWith(TemplateTable other)
    {
        foreach (var mine in _templates)
            foreach (var theirs in other._templates)
            {
                var same = mine.SameKeys(theirs);
                if (same && mine.Spec.Mode != theirs.Spec.Mode) return (mine.Spec, theirs.Spec);
                // Overlapping templates that both tables have are resolved by both in the same way.
                if (!same && mine.Overlaps(theirs) && !(Has(theirs) && other.Has(mine))) return (mine.Spec, theirs.Spec);
            }
        return null;
    }

    /// <summary>The pattern with the names of its segments left out: equal shapes name the same endpoints.</summary>
    internal static string ShapeOf(string pattern) => string.Join('/', pattern.Split('/').Select(part => part.StartsWith('{') ? "{}" : part));

    private bool Has(Template template) => _templates.Any(t => t.SameKeys(template));

    private ulong Survivors(ulong alive, int depth, ReadOnlySpan<char> segment)
    {
        for (var i = 0; i < _templates.Length; i++)
        {
            if ((alive & (1UL << i)) == 0) continue;
            var segments = _templates[i].Segments;
            if (depth >= segments.Length || (segments[depth] is { } literal && !segment.SequenceEqual(literal))) alive &= ~(1UL << i);
        }
        return alive;
    }

    // Most specific living template of exactly this many segments; the array is in that order.
    private int Complete(ulong alive, int segments)
    {
        for (var i = 0; i < _templates.Length; i++)
            if ((alive & (1UL << i)) != 0 && _templates[i].Segments.Length == segments) return i;
        return -1;
    }

    private static bool TryAppend(Span<char> buffer, ref int written, char c)
    {
        if (written >= buffer.Length) return false;
        buffer[written++] = c;
        return true;
    }

    private static bool HasDotSegment(ReadOnlySpan<char> path)
    {
        if (path.IndexOf('.') < 0 && path.IndexOf("%2e", StringComparison.OrdinalIgnoreCase) < 0) return false;
        foreach (var range in path.Split('/'))
            if (SegmentText.IsDots(path[range])) return true;
        return false;
    }

    private sealed class Template
    {
        public Template(TemplateSpec spec)
        {
            Spec = spec;
            var pattern = spec.Pattern ?? "";
            var parts = pattern.StartsWith('/') ? pattern[1..].Split('/') : [];
            if (parts.Length is 0 or > SegmentsMax) throw Bad(pattern);
            Segments = [.. parts.Select(part => IsName(part) ? null : Literal(part, pattern))];
        }

        public TemplateSpec Spec { get; }

        /// <summary>Literal text per segment; null for a name.</summary>
        public string?[] Segments { get; }

        /// <summary>Sorts literals before names, from the left.</summary>
        public string Specificity => new([.. Segments.Select(s => s is null ? '1' : '0')]);

        public bool SameKeys(Template other) => Segments.AsSpan().SequenceEqual(other.Segments);

        public bool Overlaps(Template other)
        {
            for (var i = 0; i < Math.Min(Segments.Length, other.Segments.Length); i++)
                if (Segments[i] is { } mine && other.Segments[i] is { } theirs && mine != theirs) return false;
            return true;
        }

        private static bool IsName(string part) =>
            part.Length > 2 && part[0] == '{' && part[^1] == '}' && part.AsSpan(1, part.Length - 2).IndexOfAny("{}*:?=") < 0;

        private static string Literal(string part, string pattern)
        {
            Span<char> buffer = stackalloc char[EndpointId.BytesMax];
            var written = 0;
            return part.AsSpan().IndexOfAny('{', '}', '*') < 0 && !SegmentText.IsDots(part) && SegmentText.TryNormalise(part, buffer, ref written) && buffer[..written].SequenceEqual(part)
                ? part
                : throw Bad(pattern);
        }

        private static ShardCloudException Bad(string pattern) => new(ErrorCodes.BadTemplate,
            $"'{pattern}' is not a template: it starts with '/', has 1 to {SegmentsMax} segments, each a normalised literal or one '{{name}}'.",
            "Write it like '/rooms/{room}'; it matches every path below it.");
    }
}
