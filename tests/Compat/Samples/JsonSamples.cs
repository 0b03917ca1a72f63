using System.Reflection;
using System.Text.Json;
using System.Text.Json.Serialization;
using ShardCloud.Contracts;
using ShardCloud.Orchestrator.Updates;

namespace ShardCloud.Compat.Tests.Samples;

/// <summary>Every type of the JSON contracts, with every member set, and the words of their enumerations.</summary>
internal static class JsonSamples
{
    /// <summary>Who speaks which: members, the management API and its clients, updates, shard hosts, and the Orchestrator to itself.</summary>
    public static readonly IReadOnlyList<(string Name, JsonSerializerContext Context)> Contexts =
        [("members", MemberJson.Default), ("management", ManagementJson.Default), ("updates", UpdateJson.Default), ("shard-host", ShardHostJson.Default), ("update-record", UpdateRecordJson.Default)];

    public static IEnumerable<Sample> All()
    {
        foreach (var (name, context) in Contexts)
        {
            foreach (var type in TypesOf(context))
                yield return Sample.OfJson($"json/{name}/{type.Name}", new Filler().Make(type), value => JsonSerializer.Serialize(value, type, context), json => JsonSerializer.Deserialize(json, type, context)!, isFilled: true);
            foreach (var words in EnumsOf(context))
                yield return Sample.OfJson($"json/{name}/enum-{words.Name}", Enum.GetValues(words).Cast<object>().ToArray(),
                    values => $"[{string.Join(',', values.Select(value => JsonSerializer.Serialize(value, words, context)))}]",
                    json => [.. JsonDocument.Parse(json).RootElement.EnumerateArray().Select(word => word.Deserialize(words, context)!)]);
        }
    }

    public static IEnumerable<Type> TypesOf(JsonSerializerContext context) => context.GetType().GetCustomAttributesData()
        .Where(attribute => attribute.AttributeType == typeof(JsonSerializableAttribute)).Select(attribute => (Type)attribute.ConstructorArguments[0].Value!);

    private static IEnumerable<Type> EnumsOf(JsonSerializerContext context)
    {
        var seen = new HashSet<Type>();
        var open = new Stack<Type>(TypesOf(context));
        while (open.TryPop(out var type))
        {
            if (!seen.Add(type)) continue;
            foreach (var argument in type.GetGenericArguments()) open.Push(argument);
            if (type.Namespace?.StartsWith("ShardCloud", StringComparison.Ordinal) == true && !type.IsEnum)
                foreach (var property in type.GetProperties(BindingFlags.Public | BindingFlags.Instance)) open.Push(property.PropertyType);
        }
        return seen.Where(type => type.IsEnum).OrderBy(type => type.Name, StringComparer.Ordinal);
    }
}
