using System.Net;
using System.Net.Http.Headers;
using System.Net.Http.Json;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json.Nodes;
using ShardCloud.Crdt;
using ShardCloud.ShardRuntime.Sidecar.StateApi;
using ShardCloud.ShardRuntime.State;
using ShardCloud.Tests.Shared;

namespace ShardCloud.ShardRuntime.Tests.Sidecar;

/// <summary>The real state listener, and docs/api/app-state.openapi.yaml: each call is in the document, and so is all of its answer.</summary>
public sealed class StateApiTests : IAsyncLifetime
{
    private static readonly OpenApiDocument Document = new(Path.Combine(Path.GetDirectoryName(Here())!, "../../../docs/api/app-state.openapi.yaml"));

    private readonly StateCalls _calls = new();
    private readonly StateServer _server;
    private readonly HttpClient _http = new();
    private readonly DocumentTransaction _transaction = new(Crdt.Document.Empty, new Epoch(1), 1);
    private readonly StateCall _call;

    public StateApiTests()
    {
        _server = new StateServer(_calls, TimeProvider.System);
        _call = _calls.Open(new EndpointState(new EndpointId("rooms/1"), _transaction));
    }

    private static CancellationToken Cancelled => TestContext.Current.CancellationToken;

    public async ValueTask InitializeAsync()
    {
        await _server.StartAsync(Cancelled);
        _http.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", _server.Token);
    }

    public async ValueTask DisposeAsync()
    {
        _http.Dispose();
        await _server.StopAsync(CancellationToken.None);
    }

    /// <summary>One row for each operation: what is sent, and what the answer and then the field are.</summary>
    public static readonly TheoryData<string, string, string> Operations = new()
    {
        { """counter/f/add {"amount":5}, counter/f/add {"amount":-2}, counter/f/add""", """{"changed":true,"value":4}""", """{"type":"counter","value":4}""" },
        { """grow-counter/f/add {"amount":5}""", """{"changed":true,"value":5}""", """{"type":"grow-counter","value":5}""" },
        { """bounded-counter/f/add {"amount":2,"ceiling":3}, bounded-counter/f/add {"amount":2,"floor":0,"ceiling":3}""", """{"changed":false,"value":2}""", """{"type":"bounded-counter","value":2}""" },
        { """set/f/add {"item":"a"}, set/f/add {"item":1}, set/f/add {"item":1.0}, set/f/add {"item":"a"}""", """{"changed":false}""", """{"type":"set","items":["a",1,1.0]}""" },
        { """set/f/add {"item":true}, set/f/add {"item":2}, set/f/remove {"item":2}""", """{"changed":true}""", """{"type":"set","items":[true]}""" },
        { """set/f/add {"item":1}, set/f/clear {}""", """{"changed":true}""", """{"type":"set","items":[]}""" },
        { """remove-wins-set/f/add {"item":"a"}, remove-wins-set/f/add {"item":"b"}, remove-wins-set/f/remove {"item":"a"}""", """{"changed":true}""", """{"type":"remove-wins-set","items":["b"]}""" },
        { """remove-wins-set/f/add {"item":"a"}, remove-wins-set/f/clear""", """{"changed":true}""", """{"type":"remove-wins-set","items":[]}""" },
        { """register/f/set {"value":{"bytes":"AAEC"}}""", """{"changed":true,"value":{"bytes":"AAEC"}}""", """{"type":"register","value":{"bytes":"AAEC"}}""" },
        { """register/f/set {"value":{"double":"NaN"}}""", """{"changed":true,"value":{"double":"NaN"}}""", """{"type":"register","value":{"double":"NaN"}}""" },
        { """register/f/set {"value":1e300}, register/f/set {"value":9007199254740993}""", """{"changed":true,"value":9007199254740993}""", """{"type":"register","value":9007199254740993}""" },
        { """register/f/set {"value":"x"}, register/f/clear""", """{"changed":true}""", """{"type":"register"}""" },
        { """multi-value-register/f/set {"value":"x"}""", """{"changed":true}""", """{"type":"multi-value-register","values":["x"]}""" },
        { """multi-value-register/f/set {"value":"x"}, multi-value-register/f/clear""", """{"changed":true}""", """{"type":"multi-value-register","values":[]}""" },
        { """flag/f/enable""", """{"changed":true,"value":true}""", """{"type":"flag","value":true}""" },
        { """flag/f/enable, flag/f/disable""", """{"changed":true,"value":false}""", """{"type":"flag","value":false}""" },
        { """disable-wins-flag/f/enable""", """{"changed":true,"value":true}""", """{"type":"disable-wins-flag","value":true}""" },
        { """disable-wins-flag/f/enable, disable-wins-flag/f/disable""", """{"changed":true,"value":false}""", """{"type":"disable-wins-flag","value":false}""" },
        { """list/f/append {"item":"a"}, list/f/append {"item":"b"}, list/f/append {"item":"a"}""", """{"changed":true}""", """{"type":"list","items":["a","b","a"]}""" },
        { """list/f/append {"item":"a"}, list/f/append {"item":"b"}, list/f/trim {"count":1}""", """{"changed":true}""", """{"type":"list","items":["b"]}""" },
        { """list/f/append {"item":"a"}, list/f/clear""", """{"changed":true}""", """{"type":"list","items":[]}""" },
        { """expiring-map/f/set {"key":"a","value":true,"deadline":"2026-01-02T03:04:05Z"}""", """{"changed":true}""", """{"type":"expiring-map","entries":[{"key":"a","value":true,"deadline":"2026-01-02T03:04:05+00:00"}]}""" },
        { """expiring-map/f/set {"key":"a","value":1,"deadline":"2026-01-02T03:04:05Z"}, expiring-map/f/remove-expired {"now":"2026-01-02T03:04:04Z"}""", """{"changed":false}""", """{"type":"expiring-map","entries":[{"key":"a","value":1,"deadline":"2026-01-02T03:04:05+00:00"}]}""" },
        { """expiring-map/f/set {"key":"a","value":1,"deadline":"2020-01-02T03:04:05Z"}, expiring-map/f/remove-expired""", """{"changed":true}""", """{"type":"expiring-map","entries":[]}""" },
        { """expiring-map/f/set {"key":"a","value":1,"deadline":"2020-01-02T03:04:05Z"}, expiring-map/f/remove {"key":"a"}""", """{"changed":true}""", """{"type":"expiring-map","entries":[]}""" },
        { """expiring-map/f/set {"key":"a","value":1,"deadline":"2020-01-02T03:04:05Z"}, expiring-map/f/clear""", """{"changed":true}""", """{"type":"expiring-map","entries":[]}""" },
        { """counter/n/add?map=f, counter/a%2Fb/add?map=f&map=anna, map/f/remove {"key":"n"}""", """{"changed":true}""", """{"type":"map","fields":{"anna":{"type":"map","fields":{"a/b":{"type":"counter","value":1}}}}}""" },
    };

    [Theory]
    [MemberData(nameof(Operations))]
    public async Task Operation_AnswersAndChanges_AsTheDocumentSays(string calls, string answer, string field)
    {
        JsonNode? last = null;
        foreach (var call in calls.Split(", ").Select(call => call.Split(' ', 2)))
            last = await CallAsync(HttpMethod.Post, "/" + call[0], call.ElementAtOrDefault(1), 200);
        Same(answer, last);

        var type = field.Split('"')[3];
        Same(field, await CallAsync(HttpMethod.Get, $"/{type}/f", null, 200));
        if (JsonNode.Parse(field)!["items"] is not JsonArray { Count: 0 }) _transaction.Commit(out _, out _);
    }

    /// <summary>The table in the code, the document and the rows above name the same types, operations and members.</summary>
    [Fact]
    public void Types_OfTheCodeAndOfTheDocument_AreTheSame()
    {
        var operations = FieldTypes.All.SelectMany(type => type.Operations.Select(operation => $"{type.Name} {operation.Name}"));
        var tested = Operations.SelectMany(row => row.Data.Item1.Split(", ")).Select(call => call.Split(' ', '?')[0].Split('/')).Select(path => $"{path[0]} {path[2]}");

        Assert.Equal(FieldTypes.All.Select(type => type.Name), Document.Choices("Type"));
        Assert.Equal(FieldTypes.All.SelectMany(type => type.Operations).Select(operation => operation.Name).Distinct().Order(), Document.Choices("Operation").Order());
        Assert.Equal(operations.Order(), tested.Distinct().Order());
        Assert.Equal(Enum.GetValues<FieldKind>(), FieldTypes.All.Select(type => type.Kind).Order());
        var text = File.ReadAllText(Path.Combine(Path.GetDirectoryName(Here())!, "../../../docs/api/app-state.openapi.yaml")).Replace("?", "", StringComparison.Ordinal);
        Assert.All(FieldTypes.All.SelectMany(type => type.Operations), operation => Assert.Contains($"{operation.Name} {{{string.Join(", ", operation.Members)}}}", text));
    }

    [Fact]
    public async Task Document_ShowsAllFields_ButTheRuntimesOwn()
    {
        await CallAsync(HttpMethod.Post, "/counter/visits/add", null, 200);
        await CallAsync(HttpMethod.Post, "/set/members/add", """{"item":"ada"}""", 200);
        _transaction.Counter(SystemFields.Prefix + "own").Increment();

        Same("""{"endpoint":"rooms/1","fields":{"members":{"type":"set","items":["ada"]},"visits":{"type":"counter","value":1}}}""", await CallAsync(HttpMethod.Get, "", null, 200));
    }

    [Theory]
    [InlineData("POST", "/counter/f/add", """{"amount":"1"}""", 400, "SC5020")]
    [InlineData("POST", "/counter/f/add", """{"amount":1,"much":2}""", 400, "SC5002")]
    [InlineData("POST", "/counter/f/add", "[1]", 400, "SC5001")]
    [InlineData("POST", "/counter/f/add", "{", 400, "SC5001")]
    [InlineData("POST", "/grow-counter/f/add", """{"amount":-1}""", 400, "SC5020")]
    [InlineData("POST", "/bounded-counter/f/add", """{"floor":2,"ceiling":1}""", 400, "SC5020")]
    [InlineData("POST", "/set/f/add", null, 400, "SC5019")]
    [InlineData("POST", "/set/f/add", """{"item":null}""", 400, "SC5020")]
    [InlineData("POST", "/list/f/trim", """{"count":99999999999}""", 400, "SC5020")]
    [InlineData("POST", "/expiring-map/f/set", """{"key":"a","value":1,"deadline":"soon"}""", 400, "SC5020")]
    [InlineData("POST", "/counter/_shard.x/add", null, 400, "SC3002")]
    [InlineData("POST", "/counter/taken/add", null, 409, "SC3001")]
    [InlineData("GET", "/counter/taken", null, 409, "SC3001")]
    [InlineData("GET", "/counter/_shard.x", null, 400, "SC3002")]
    [InlineData("POST", "/counter/f/jump", null, 404, "SC5011")]
    [InlineData("POST", "/number/f/add", null, 404, "SC5011")]
    [InlineData("GET", "/counter", null, 404, "SC5011")]
    [InlineData("DELETE", "/counter/f", null, 405, "SC5015")]
    public async Task Refusal_HasItsCode_AndChangesNothing(string method, string path, string? body, int status, string code)
    {
        _transaction.Set("taken").Add("x");

        var problem = await CallAsync(new HttpMethod(method), path, body, status);

        Assert.Equal(code, (string?)problem!["code"]);
        Assert.Equal(["taken"], _transaction.Fields.Keys);
    }

    [Fact]
    public async Task Caller_WithoutTheTokenOrARunningRequest_GetsNothing()
    {
        var url = $"{_server.Url}/{_call.Handle}";
        using var stranger = new HttpClient();
        Assert.Equal(HttpStatusCode.Unauthorized, (await stranger.GetAsync(url, Cancelled)).StatusCode);
        stranger.DefaultRequestHeaders.Authorization = new AuthenticationHeaderValue("Bearer", _server.Token[..^1] + "x");
        Assert.Equal(HttpStatusCode.Unauthorized, (await stranger.GetAsync(url, Cancelled)).StatusCode);
        Assert.Contains("openapi: 3.1.0", await stranger.GetStringAsync(url[..url.IndexOf("/_app", StringComparison.Ordinal)] + "/_app/openapi.yaml", Cancelled));

        using var form = await _http.PostAsync(url + "/counter/f/add", new StringContent("amount=1", Encoding.UTF8, "application/x-www-form-urlencoded"), Cancelled);
        Assert.Equal((415, "SC5016"), ((int)form.StatusCode, await AppTests.CodeAsync(form)));
        using var large = await _http.PostAsync(url + "/register/f/set", JsonContent.Create(new { value = new string('x', StateServer.BodyBytesMax) }), Cancelled);
        Assert.Equal((413, "SC4006"), ((int)large.StatusCode, await AppTests.CodeAsync(large)));

        _call.Dispose();
        Assert.Equal("SC3009", (string?)(await CallAsync(HttpMethod.Post, "/counter/f/add", null, 410))!["code"]);
        Assert.False(_transaction.HasChanges);
    }

    [Fact]
    public async Task Reader_MayNotChange()
    {
        using var reader = _calls.Open(EndpointState.ReadOnly(new EndpointId("rooms/1"), Crdt.Document.Empty, "GET"));

        using var refused = await _http.PostAsync($"{_server.Url}/{reader.Handle}/counter/f/add", null, Cancelled);

        Assert.Equal((403, "SC3005"), ((int)refused.StatusCode, await AppTests.CodeAsync(refused)));
    }

    /// <summary>A transaction is not thread-safe: calls at the same time are done one after the other.</summary>
    [Fact]
    public async Task Calls_AtTheSameTime_AllCount()
    {
        await Task.WhenAll(Enumerable.Range(0, 200).Select(_ => CallAsync(HttpMethod.Post, "/counter/f/add", null, 200)));

        Assert.Equal(200, _transaction.Fields.Counter("f"));
    }

    /// <summary>One call; what of it or of its answer is not in the document is a failure.</summary>
    private async Task<JsonNode?> CallAsync(HttpMethod method, string path, string? body, int status)
    {
        using var request = new HttpRequestMessage(method, $"{_server.Url}/{_call.Handle}{path}");
        if (body is not null) request.Content = new StringContent(body, Encoding.UTF8, "application/json");
        using var answer = await _http.SendAsync(request, Cancelled);
        var json = JsonNode.Parse(await answer.Content.ReadAsStringAsync(Cancelled));
        Assert.True(status == (int)answer.StatusCode, $"{(int)answer.StatusCode} {json?.ToJsonString()}");

        if (Document.Find(method.Method, $"/{_call.Handle}{path}".Split('?')[0]) is not { } found)
        {
            Assert.True(status is 404 or 405, $"{method} {path} is not in the document");
            return json;
        }
        Assert.True(OpenApiDocument.Answers(found.Operation, status), $"{found.Path} does not say that it answers {status}");
        var schema = status == 200 ? Document.Answer(found.Operation).Schema : Document.Schema("Problem");
        Assert.Empty(Document.Faults(json, schema));
        if (status == 200 && body is not null) Assert.Empty(Document.Faults(JsonNode.Parse(body), Document.RequestSchema(found.Operation)!));
        return json;
    }

    private static void Same(string expected, JsonNode? actual) => Assert.Equal(JsonNode.Parse(expected)!.ToJsonString(), actual?.ToJsonString());

    private static string Here([CallerFilePath] string path = "") => path;
}
