using System.Text.Json;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Updates;

namespace ShardCloud.Orchestrator.Tests.Updates;

/// <summary>What a strategy may say.</summary>
public sealed class StrategyTests
{
    [Fact]
    public void Absent_IsTheDefault_AndEachMemberAlone()
    {
        Assert.Equal(Text(UpdateStrategy.Default), Text(StrategyReader.Read(null)));
        Assert.Equal(Text(UpdateStrategy.Default), Text(Read("{}")));
        Assert.Equal(Text(UpdateStrategy.Default with { Waves = [50, 100], StableSeconds = 5, Gate = UpdateStrategy.Default.Gate with { LatencyRatioMax = 3.5 } }), Text(Read("""{"waves":[50,100],"stableSeconds":5,"gate":{"latencyRatioMax":3.5}}""")));
        Assert.Equal(0, Read("""{"verify":{"shadowShare":0}}""").Verify.ShadowCompared); // No share: nothing to wait for.
        Assert.Equal(Text(UpdateStrategy.Default), Text(Read(Text(UpdateStrategy.Default))));
    }

    [Theory]
    [InlineData("[]", ErrorCodes.BadValue, "strategy")]
    [InlineData("""{"wave":[100]}""", ErrorCodes.UnknownMember, "wave")]
    [InlineData("""{"gate":{"errors":1}}""", ErrorCodes.UnknownMember, "strategy.gate")]
    [InlineData("""{"waves":[0,100]}""", ErrorCodes.BadValue, "strategy.waves")]
    [InlineData("""{"waves":[1,2,3,4,5,6,7,8,9,10,100]}""", ErrorCodes.BadValue, "at most 10")]
    [InlineData("""{"stableSeconds":0}""", ErrorCodes.BadValue, "from 1 to 86400")]
    [InlineData("""{"stableSeconds":"5"}""", ErrorCodes.BadValue, "strategy.stableSeconds")]
    [InlineData("""{"verify":{"shadowShare":1.5}}""", ErrorCodes.BadValue, "from 0 to 1")]
    [InlineData("""{"verify":{"probes":1}}""", ErrorCodes.BadValue, "true or false")]
    [InlineData("""{"busy":{"mode":"wait"}}""", ErrorCodes.BadValue, "'move' or 'defer'")]
    [InlineData("""{"waves":[]}""", ErrorCodes.StrategyContradictory, "waves")]
    [InlineData("""{"waves":[10,50]}""", ErrorCodes.StrategyContradictory, "50 %")]
    [InlineData("""{"waves":[10,10,100]}""", ErrorCodes.StrategyContradictory, "from 10 to 10")]
    [InlineData("""{"waves":[100],"approveBefore":[2]}""", ErrorCodes.StrategyContradictory, "wave 2; there are 1")]
    [InlineData("""{"approveBefore":[2,2]}""", ErrorCodes.StrategyContradictory, "twice")]
    [InlineData("""{"verify":{"shadowShare":0,"shadowCompared":5}}""", ErrorCodes.StrategyContradictory, "verify.shadowShare")]
    [InlineData("""{"verify":{"shadowCompared":5,"shadowDifferentMax":5}}""", ErrorCodes.StrategyContradictory, "verify.shadowDifferentMax")]
    [InlineData("""{"busy":{"idleSeconds":400}}""", ErrorCodes.StrategyContradictory, "busy.idleSeconds")]
    public void WhatCannotBe_IsRefusedAndNamed(string json, string code, string part)
    {
        var error = Assert.Throws<ShardCloudException>(() => Read(json));

        Assert.Equal(code, error.Code);
        Assert.Contains(part, error.Message, StringComparison.Ordinal);
    }

    private static UpdateStrategy Read(string json) => StrategyReader.Read(JsonDocument.Parse(json).RootElement);

    private static string Text(UpdateStrategy strategy) => JsonSerializer.Serialize(strategy, UpdateJson.Default.UpdateStrategy);
}
