using System.Net.Mime;
using System.Text;
using System.Text.Json;

namespace ShardCloud.ShardRuntime;

/// <summary>What a probe's request was answered with.</summary>
/// <param name="Status">HTTP status.</param>
/// <param name="ContentType">Its <c>Content-Type</c>; null where it has none.</param>
/// <param name="Body">Its body, whole.</param>
public sealed record ProbeAnswer(int Status, string? ContentType, ReadOnlyMemory<byte> Body)
{
    /// <summary>The body as UTF-8.</summary>
    public string Text => Encoding.UTF8.GetString(Body.Span);

    /// <summary>The body as JSON.</summary>
    /// <exception cref="JsonException">It is none; the probe fails with it.</exception>
    public JsonElement Json => JsonElement.Parse(Body.Span);
}

/// <summary>
/// Requests, one after another, that show whether a version of the application does for a template what its clients count on. A new version is asked before it serves anybody:
/// <c>probe.Post("/increment").Expect(200).Get().Expect(answer => answer.Json.GetProperty("value").GetInt64() == 1, "the visit is counted")</c>.
/// </summary>
/// <remarks>Each request names its path below the endpoint (<c>""</c> or <c>/increment?by=2</c>); what is expected follows the request that it is expected of. The first that does not hold ends the probe.</remarks>
public sealed class ContractProbe
{
    private readonly List<Step> _steps = [];

    internal ContractProbe() { }

    internal IReadOnlyList<Step> Steps => _steps;

    /// <summary>A GET.</summary>
    public ContractProbe Get(string path = "") => Send(HttpMethods.Get, path);

    /// <summary>A POST, with a body or without one.</summary>
    public ContractProbe Post(string path = "", string body = "", string contentType = MediaTypeNames.Application.Json) => Send(HttpMethods.Post, path, body, contentType);

    /// <summary>A PUT, with a body or without one.</summary>
    public ContractProbe Put(string path = "", string body = "", string contentType = MediaTypeNames.Application.Json) => Send(HttpMethods.Put, path, body, contentType);

    /// <summary>A PATCH, with a body or without one.</summary>
    public ContractProbe Patch(string path = "", string body = "", string contentType = MediaTypeNames.Application.Json) => Send(HttpMethods.Patch, path, body, contentType);

    /// <summary>A DELETE.</summary>
    public ContractProbe Delete(string path = "") => Send(HttpMethods.Delete, path);

    /// <summary>The status that the last request is to have; without it any of 200 to 299 will do.</summary>
    /// <param name="status">100 to 599.</param>
    /// <exception cref="ShardCloudException">SC1012: there was no request yet, or the status is none.</exception>
    public ContractProbe Expect(int status)
    {
        if (status is < 100 or > 599) throw ContractErrors.Bad($"{status} is no HTTP status.");
        Last.Status = status;
        return this;
    }

    /// <summary>What else holds of the answer to the last request; asked after its status was found right. A test that throws does not hold.</summary>
    /// <param name="holds">True when it does.</param>
    /// <param name="what">What it says, for whoever reads that it does not.</param>
    /// <exception cref="ShardCloudException">SC1012: there was no request yet.</exception>
    public ContractProbe Expect(Func<ProbeAnswer, bool> holds, string what)
    {
        ArgumentNullException.ThrowIfNull(holds);
        ArgumentException.ThrowIfNullOrWhiteSpace(what);
        Last.Tests.Add((holds, what));
        return this;
    }

    private Step Last => _steps.Count > 0 ? _steps[^1] : throw ContractErrors.Bad("'Expect' stands before the first request.");

    private ContractProbe Send(string method, string path, string body = "", string contentType = "")
    {
        ArgumentNullException.ThrowIfNull(path);
        ArgumentNullException.ThrowIfNull(body);
        if (path.Length > 0 && path[0] is not ('/' or '?')) throw ContractErrors.Bad($"'{path}' is no path below an endpoint: it is empty, or begins with '/' or '?'.");
        _steps.Add(new Step(method, path, Encoding.UTF8.GetBytes(body), contentType));
        return this;
    }

    /// <summary>One request, and what is expected of its answer.</summary>
    internal sealed record Step(string Method, string Path, byte[] Body, string ContentType)
    {
        public int? Status { get; set; }

        public List<(Func<ProbeAnswer, bool> Holds, string What)> Tests { get; } = [];

        /// <summary>What does not hold; null: all does.</summary>
        public string? WhatFails(ProbeAnswer answer)
        {
            if (Status is { } status ? answer.Status != status : answer.Status is < 200 or > 299)
                return $"answered {answer.Status} instead of {(Status is { } one ? $"{one}" : "200 to 299")}{(answer.Body.IsEmpty ? "" : $": {answer.Text}")}";
            foreach (var (holds, what) in Tests)
            {
                try
                {
                    if (!holds(answer)) return $"does not hold: {what}";
                }
                catch (Exception error)
                {
                    return $"does not hold: {what} ({error.Message})";
                }
            }
            return null;
        }
    }
}

/// <summary>A probe or rule that cannot be meant so.</summary>
internal static class ContractErrors
{
    public static ShardCloudException Bad(string what) => new(ErrorCodes.BadContract, what, "See docs/probes.md.");
}
