using System.Diagnostics;
using ShardCloud.Contracts;
using ShardCloud.Crdt;
using ShardCloud.Routing;
using ShardCloud.ShardRuntime.Calls;
using ShardCloud.ShardRuntime.Hosting;

namespace ShardCloud.ShardRuntime.Updates;

/// <summary>Runs the probes that the application declared for its templates, each on an empty scratch document of its own.</summary>
internal sealed class ContractProbes(ShardTemplates templates, ScratchRuns scratches, OutboxRules posting, TimeProvider time)
{
    private const int ErrorCharactersMax = 256;

    /// <summary>Who asks: nobody from outside, by the scheme that applications redirect to.</summary>
    private const string Client = "127.0.0.1 https";

    /// <summary>All of them, within the time; those that it does not suffice for have not passed.</summary>
    public async Task<ProbeReport> RunAsync(TimeSpan within, CancellationToken cancellationToken)
    {
        using var over = new CancellationTokenSource(within, time);
        using var either = CancellationTokenSource.CreateLinkedTokenSource(over.Token, cancellationToken);
        List<ProbeResult> results = [];
        foreach (var contract in templates.Contracts)
        {
            if (contract.Probes.Count == 0) results.Add(new ProbeResult(contract.Spec.Pattern, null, null, null, Passed: true, 0, null, 0));
            foreach (var probe in contract.Probes) await RunAsync(contract, probe, results, either.Token);
        }
        cancellationToken.ThrowIfCancellationRequested();
        return new ProbeReport(results);
    }

    private async Task RunAsync(TemplateContract contract, NamedProbe named, List<ProbeResult> results, CancellationToken cancellationToken)
    {
        var scratch = new Scratch(EndpointKey.Normalise(named.Path.TrimStart('/')), Document.Empty, contract.Spec.Mode is Mode.Convergent ? null : posting);
        foreach (var step in named.Probe.Steps)
        {
            var (began, target) = (Stopwatch.GetTimestamp(), named.Path + step.Path);
            var (status, error) = await RunAsync(scratch, step, target, cancellationToken);
            results.Add(new ProbeResult(contract.Spec.Pattern, named.Name, step.Method, target, error is null, status, error is { Length: > ErrorCharactersMax } ? error[..ErrorCharactersMax] : error, Stopwatch.GetElapsedTime(began).TotalMilliseconds));
            if (error is not null) return; // What follows rests on it.
        }
    }

    private async Task<(int Status, string? Error)> RunAsync(Scratch scratch, ContractProbe.Step step, string target, CancellationToken cancellationToken)
    {
        try
        {
            List<ShadowHeader> headers = [new("Host", "shard"), new(ShardHeaders.Client, Client)];
            if (step.Body.Length > 0) headers.Add(new("Content-Type", step.ContentType));
            var answer = await scratches.SendAsync(scratch, step.Method, target, headers, step.Body, cancellationToken);
            return (answer.Status, step.WhatFails(answer));
        }
        catch (OperationCanceledException)
        {
            return (0, "there was no answer within the time");
        }
        catch (HttpRequestException error)
        {
            return (0, $"the answer broke off: {error.Message}");
        }
    }
}
