using System.Text;
using ShardCloud.ShardRuntime.Updates;

namespace ShardCloud.ShardRuntime.Tests.Updates;

public sealed class AnswerComparisonTests
{
    private const string Json = "application/json; charset=utf-8";

    [Theory]
    [InlineData("""{"a":1,"b":[1,{"c":"x"}]}""", """{ "b": [1, {"c":"x"}], "a": 1.0 }""")]
    [InlineData("""{"shard":"shard-1","at":{"ms":1}}""", """{"shard":"shard-2","at":{"ms":2}}""")]
    [InlineData("""{"shard":"shard-1"}""", "{}")]
    [InlineData("{}", """{"shard":"shard-2"}""")]
    [InlineData("""{"list":[{"id":1}]}""", """{"list":[{"id":2}]}""")]
    [InlineData("""{"a/b":1,"c~d":1}""", """{"a/b":2,"c~d":2}""")]
    [InlineData("no JSON", "no JSON")]
    public void JsonThatMeansTheSame_OrDiffersOnlyWhereIgnored_IsEqual(string expected, string got) =>
        Assert.Null(DifferenceOf(expected, got, rules => rules.Ignore("/shard", "/at", "/list/0/id", "/a~1b", "/c~0d")));

    [Theory]
    [InlineData("""{"a":1}""", """{"a":2}""", "/a", "1", "2")]
    [InlineData("""{"a":1}""", """{"a":"1"}""", "/a", "1", "\"1\"")]
    [InlineData("""{"a":{"b":1}}""", """{"a":{}}""", "/a/b is missing", "1", "")]
    [InlineData("""{"a":{}}""", """{"a":{"b":1}}""", "/a/b is new", "", "1")]
    [InlineData("""{"a":[1]}""", """{"a":[1,2]}""", "/a has another length", "1", "2")]
    [InlineData("""{"a":[1,2]}""", """{"a":[1,3]}""", "/a/1", "2", "3")]
    [InlineData("""{"a/b":1}""", """{"a/b":2}""", "/a~1b", "1", "2")]
    [InlineData("[1]", "{}", "body", "[1]", "{}")]
    [InlineData("1", "no JSON", "body", "1", "no JSON")]
    [InlineData("", "1", "body", "", "1")]
    public void Difference_IsNamedByItsPlace(string expected, string got, string reason, string left, string right) =>
        Assert.Equal(new AnswerDifference(reason, left, right), DifferenceOf(expected, got, _ => { }));

    [Fact]
    public void AddedMembers_AreAllowedWhereTheRulesSaySo_ButNoneMayBeMissing()
    {
        Assert.Null(DifferenceOf("""{"a":{}}""", """{"a":{"b":1},"c":2}""", rules => rules.AllowAddedMembers()));
        Assert.Equal("/a is missing", DifferenceOf("""{"a":1}""", """{"b":1}""", rules => rules.AllowAddedMembers())!.Reason);
    }

    [Fact]
    public void StatusAndContentType_AreComparedFirst()
    {
        Assert.Equal(new AnswerDifference("status", "200", "404"), AnswerComparison.DifferenceOf(Answer("a"), Answer("b", 404), new ShadowRules()));
        Assert.Equal(new AnswerDifference("content type", Json, "text/plain"), AnswerComparison.DifferenceOf(Answer("a"), Answer("a", type: "text/plain"), new ShadowRules()));
        Assert.Null(AnswerComparison.DifferenceOf(Answer("a"), Answer("a", type: Json.ToUpperInvariant()), new ShadowRules()));
    }

    [Fact]
    public void TextThatIsNoJson_IsComparedByteByByte() =>
        Assert.Equal(new AnswerDifference("body", "{}", "{ }"), AnswerComparison.DifferenceOf(Answer("{}", type: "text/plain"), Answer("{ }", type: "text/plain"), new ShadowRules()));

    private static AnswerDifference? DifferenceOf(string expected, string got, Action<ShadowRules> declare)
    {
        var rules = new ShadowRules();
        declare(rules);
        return AnswerComparison.DifferenceOf(Answer(expected), Answer(got), rules);
    }

    private static ProbeAnswer Answer(string body, int status = 200, string type = Json) => new(status, type, Encoding.UTF8.GetBytes(body));
}
