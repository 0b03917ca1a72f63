namespace ShardCloud.Crdt.Tests;

/// <summary>
/// Documents and deltas as each released version wrote them (tests/Compat/state-codec): this version reads them all to the same meaning, and writes
/// those of the current version byte for byte. A change that breaks the first needs a new major version; one that breaks the second, a new minor one.
/// </summary>
public sealed class CompatTests
{
    private const string Current = "0.1.0";

    private static readonly string Folder = Path.Combine(AppContext.BaseDirectory, "state-codec");

    public static readonly TheoryData<string> Versions = new(Directory.GetDirectories(Folder).Select(path => Path.GetFileName(path)!));

    [Theory]
    [MemberData(nameof(Versions))]
    public void Decode_BytesOfAReleasedVersion_MeanTheSame(string version)
    {
        var files = Directory.GetFiles(Path.Combine(Folder, version), "*.txt");
        Assert.NotEmpty(files);
        foreach (var file in files)
        {
            var (bytes, meaning) = Read(file);
            var document = DocumentCodec.TryDecodeDocument(bytes, out var whole) ? whole : DocumentCodec.DecodeDelta(bytes).Changes;
            Assert.Equal(meaning, document.View().Select(place => $"{place.Key} = {place.Value}").Prepend($"seen {document.Context}"));
        }
    }

    [Fact]
    public void Encode_TheSameChanges_GivesTheBytesOfTheCurrentVersion()
    {
        var written = Scenarios().ToDictionary(scenario => scenario.Name, scenario => scenario.Bytes);
        var missing = written.Where(scenario => !File.Exists(PathOf(scenario.Key))).Select(Describe).ToList();
        Assert.True(missing.Count == 0, "No golden file for:\n" + string.Join("\n", missing));
        Assert.All(written, scenario => Assert.Equal(Convert.ToHexString(Read(PathOf(scenario.Key)).Bytes), Convert.ToHexString(scenario.Value)));
        Assert.Equal(written.Keys.Order(StringComparer.Ordinal),
            Directory.GetFiles(Path.Combine(Folder, Current), "*.txt").Select(file => Path.GetFileNameWithoutExtension(file)).Order(StringComparer.Ordinal));
    }

    private static string PathOf(string name) => Path.Combine(Folder, Current, name + ".txt");

    /// <summary>First line the bytes in hex, then what they mean.</summary>
    private static (byte[] Bytes, string[] Meaning) Read(string file)
    {
        var lines = File.ReadAllLines(file);
        return (Convert.FromHexString(lines[0]), lines[1..]);
    }

    /// <summary>The content of a golden file, to be reviewed and committed when a scenario is added.</summary>
    private static string Describe(KeyValuePair<string, byte[]> scenario)
    {
        var document = DocumentCodec.TryDecodeDocument(scenario.Value, out var whole) ? whole : DocumentCodec.DecodeDelta(scenario.Value).Changes;
        return $"=== {scenario.Key}.txt\n{Convert.ToHexString(scenario.Value)}\nseen {document.Context}\n" + string.Join('\n', document.View().Select(place => $"{place.Key} = {place.Value}"));
    }

    private static IEnumerable<(string Name, byte[] Bytes)> Scenarios()
    {
        (string, Action<DocumentTransaction>)[] changes =
        [
            ("counter", t => t.Counter("visits").Add(-7)),
            ("grow-counter", t => t.GrowCounter("sold").Add(300)),
            ("bounded-counter", t => t.BoundedCounter("seats", 0, 40).Add(12)),
            ("set", t => { t.Set("tags").Add("text"); t.Set("tags").Add(1.5); t.Set("tags").Add(true); t.Set("tags").Add(new byte[] { 1, 2 }); t.Set("tags").Add(long.MinValue); }),
            ("remove-wins-set", t => { t.RemoveWinsSet("banned").Add("anna"); t.RemoveWinsSet("banned").Forbid("bert"); }),
            ("register", t => t.Register("title").Set("Größe")),
            ("multi-value-register", t => t.MultiValueRegister("plan").Set("a")),
            ("flag", t => t.Flag("open").Enable()),
            ("disable-wins-flag", t => t.DisableWinsFlag("admin").Enable()),
            ("list", t => { t.List("chat").Append("hello"); t.List("chat").Append("you"); }),
            ("expiring-map", t => t.ExpiringMap("typing").Set("anna", true, DateTimeOffset.FromUnixTimeMilliseconds(1_764_000_000_000))),
            ("map", t => { t.Map("users").Map("anna").Register("name").Set("Anna"); t.Map("users").Counter("count").Increment(); }),
            ("request", t => t.AddRequestRecord(new RequestRecord("id-1", 201, "application/json", "{}"u8.ToArray(), 42, 1_764_000_000_000))),
        ];
        var (all, next) = (Document.Empty, 1L);
        foreach (var (name, change) in changes)
        {
            yield return ($"delta-{name}", DocumentCodec.ToBytes(JoinTests.Changed(Document.Empty, 123_456, 1, change, out _)));
            var transaction = new DocumentTransaction(all, new Epoch(123_456), next);
            change(transaction);
            transaction.Commit(out all, out next);
        }
        yield return ("document-all-types", DocumentCodec.ToBytes(all));
        var removal = JoinTests.Changed(all, 123_460, 1, t => { t.Set("tags").Remove("text"); t.List("chat").TrimTo(1); t.Register("title").Clear(); }, out var later);
        yield return ("delta-removals", DocumentCodec.ToBytes(removal));
        yield return ("document-two-epochs", DocumentCodec.ToBytes(later));
        yield return ("document-folded", DocumentCodec.ToBytes(later.Fold(new Epoch(123_456))));
        yield return ("document-with-gaps", DocumentCodec.ToBytes(Document.Join(Document.Empty, removal)));
    }
}
