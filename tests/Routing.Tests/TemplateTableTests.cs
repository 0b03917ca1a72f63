namespace ShardCloud.Routing.Tests;

public sealed class TemplateTableTests
{
    private static readonly TemplateTable Table = new([new("/rooms/{room}"), new("/docs/{owner}/{doc}"), new("/docs/shared/{doc}"), new("/lobby")]);

    [Theory]
    [InlineData("/rooms/42", "rooms/42")]
    [InlineData("/rooms/42/", "rooms/42")]
    [InlineData("/rooms/42/increment", "rooms/42")]
    [InlineData("/rooms/42?x=/../y", "rooms/42")]
    [InlineData("/rooms/4%32", "rooms/42")]
    [InlineData("/%72ooms/42", "rooms/42")]
    [InlineData("/rooms/a%20b", "rooms/a b")]
    [InlineData("/rooms/Caf%C3%A9", "rooms/Café")] // Composed.
    [InlineData("/rooms/Cafe%CC%81", "rooms/Café")] // 'e' and a combining acute: the same endpoint.
    [InlineData("/rooms/Cafe\u0301", "rooms/Café")] // Not escaped at all.
    [InlineData("/rooms/%E2%84%AB", "rooms/\u00c5")] // The Angstrom sign is the letter.
    [InlineData("/rooms/CAFE", "rooms/CAFE")] // Case is kept.
    [InlineData("/rooms/a.b", "rooms/a.b")]
    [InlineData("/rooms/...", "rooms/...")]
    [InlineData("/docs/ann/7/edit", "docs/ann/7")]
    [InlineData("/docs/shared/7", "docs/shared/7")]
    [InlineData("/lobby/chat", "lobby")]
    public void Match_Spelling_HasOneKey(string path, string key)
    {
        Span<char> buffer = stackalloc char[EndpointId.BytesMax];
        Assert.Equal(MatchResult.Match, Table.Match(path, buffer, out var length, out var template));
        Assert.Equal(key, new string(buffer[..length]));
        Assert.NotNull(template);
        Assert.Equal(key, EndpointKey.Normalise(key).Value);
    }

    [Theory]
    [InlineData("/")]
    [InlineData("")]
    [InlineData("rooms/42")]
    [InlineData("/rooms")]
    [InlineData("/rooms/")]
    [InlineData("/roomsy/42")]
    [InlineData("/Rooms/42")] // Literals keep their case too.
    [InlineData("/docs/ann")]
    [InlineData("//rooms/42/x", MatchResult.Malformed)]
    [InlineData("/static/a%2Fb")] // No template is concerned: the application may judge it.
    public void Match_OtherPath_IsNotAnEndpoint(string path, MatchResult expected = MatchResult.NoTemplate) => Assert.Equal(expected, Match(path));

    [Theory]
    [InlineData("/rooms//x")]
    [InlineData("/rooms/../rooms/42")]
    [InlineData("/static/../rooms/42")] // The web server would serve rooms/42: nobody may have routed it elsewhere.
    [InlineData("/rooms/42/../43")]
    [InlineData("/rooms/42/%2e%2E/43")]
    [InlineData("/rooms/.")]
    [InlineData("/rooms/%2e")]
    [InlineData("/rooms/4%2F2")]
    [InlineData("/rooms/4%5C2")]
    [InlineData("/rooms/4\\2")]
    [InlineData("/rooms/%2534")] // Would be decoded twice by the next reader.
    [InlineData("/rooms/%")]
    [InlineData("/rooms/%4")]
    [InlineData("/rooms/%zz")]
    [InlineData("/rooms/%00")]
    [InlineData("/rooms/a%0Ab")]
    [InlineData("/rooms/a%7F")]
    [InlineData("/rooms/%C0%AF")] // Overlong '/'.
    [InlineData("/rooms/%ED%A0%80")] // Surrogate.
    [InlineData("/rooms/%FF")]
    public void Match_HostilePath_IsMalformed(string path) => Assert.Equal(MatchResult.Malformed, Match(path));

    [Fact]
    public void Match_OversizeOrIllFormedSegment_IsMalformed()
    {
        Assert.Equal(MatchResult.Malformed, Match("/rooms/" + (char)0xD800)); // Lone surrogate: an attribute cannot hold one.
        Assert.Equal(MatchResult.Match, Match("/rooms/" + new string('a', 255)));
        Assert.Equal(MatchResult.Malformed, Match("/rooms/" + new string('a', 256)));
        Assert.Equal(MatchResult.Malformed, Match("/rooms/" + string.Concat(Enumerable.Repeat("%E2%82%AC", 200)))); // 600 bytes of UTF-8.
        Assert.Equal(MatchResult.Malformed, Match("/rooms/" + string.Concat(Enumerable.Repeat("%41", 5_000))));
    }

    [Fact]
    public void Match_TemplateOfOneName_NeverLooksLikeSlots() =>
        Assert.Equal(MatchResult.Malformed, new TemplateTable([new("/{any}")]).Match("/slots:0-1", new char[512], out _, out _));

    [Theory]
    [InlineData("rooms/42", "rooms/42")]
    [InlineData("/rooms/42", "rooms/42")]
    [InlineData("rooms/Cafe\u0301", "rooms/Caf\u00e9")]
    public void Normalise_ApiInput_IsSpelledAsByTheTemplates(string text, string key) => Assert.Equal(key, EndpointKey.Normalise(text).Value);

    [Theory]
    [InlineData("")]
    [InlineData("/")]
    [InlineData("rooms/")]
    [InlineData("rooms//1")]
    [InlineData("rooms/../1")]
    [InlineData("rooms/%2F")]
    [InlineData("slots:0-1")]
    [InlineData("a/b/c/d/e/f/g/h/i")]
    public void Normalise_NotAnEndpoint_Throws(string text) =>
        Assert.Equal(ErrorCodes.BadEndpoint, Assert.Throws<ShardCloudException>(() => EndpointKey.Normalise(text)).Code);

    [Theory]
    [InlineData("rooms/{room}")]
    [InlineData("/")]
    [InlineData("/rooms/{room}x")]
    [InlineData("/rooms/{*rest}")]
    [InlineData("/rooms//{room}")]
    [InlineData("/rooms/../{room}")]
    [InlineData("/rooms/{}")]
    [InlineData("/ro%6Fms/{room}")]
    public void Table_NotAPattern_Throws(string pattern) =>
        Assert.Equal(ErrorCodes.BadTemplate, Assert.Throws<ShardCloudException>(() => new TemplateTable([new(pattern)])).Code);

    [Fact]
    public void Table_SameEndpointsTwice_Throws() =>
        Assert.Equal(ErrorCodes.BadTemplate, Assert.Throws<ShardCloudException>(() => new TemplateTable([new("/rooms/{room}"), new("/rooms/{id}")])).Code);

    [Fact]
    public void ConflictWith_OnlyPathsWithTwoKeysOrModes_Conflict()
    {
        var old = new TemplateTable([new("/rooms/{room}")]);
        Assert.Null(old.ConflictWith(new TemplateTable([new("/rooms/{id}"), new("/carts/{cart}")])));
        Assert.NotNull(old.ConflictWith(new TemplateTable([new("/rooms/{room}/{seat}")])));
        Assert.NotNull(old.ConflictWith(new TemplateTable([new("/rooms/{room}"), new("/rooms/{room}/{seat}")])));
        Assert.NotNull(old.ConflictWith(new TemplateTable([new("/rooms/{room}", Mode.Convergent)])));
    }

    [Theory] // From NormalizationTest.txt (Unicode): source, NFC.
    [InlineData("\u1E0A\u0323", "\u1E0C\u0307")]
    [InlineData("\u0044\u0307\u0323", "\u1E0C\u0307")]
    [InlineData("\u0340", "\u0300")] // A singleton never composes back.
    [InlineData("\u0958", "\u0915\u093C")] // Composition exclusion.
    [InlineData("\uAC00\u11A8", "\uAC01")] // Hangul.
    [InlineData("\u1100\u1161\u11A8", "\uAC01")]
    [InlineData("\u0061\u0315\u0300\u05AE\u0062", "\u00E0\u05AE\u0315\u0062")]
    [InlineData("\U0001D15E", "\U0001D157\U0001D165")]
    [InlineData("\u0B47\u0300\u0B3E", "\u0B47\u0300\u0B3E")] // Blocked.
    [InlineData("日本語", "日本語")]
    public void Nfc_UnicodeTestVectors_Hold(string source, string expected)
    {
        Assert.Equal(expected, Nfc.Normalise(source));
        Assert.Equal(expected, Nfc.Normalise(expected));
    }

    private static MatchResult Match(string path) => Table.Match(path, new char[EndpointId.BytesMax], out _, out _);
}
