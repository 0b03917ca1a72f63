using System.Reflection;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;

namespace ShardCloud.LocalCloud.Functions;

/// <summary>Reads <see cref="FunctionsHostOptions"/> from arguments: <c>--options FILE</c> takes a JSON object with the options' names in
/// camel case; <c>--name VALUE</c> sets one of them, over the file. Values of lists are added one by one (<c>--handlerArguments a --handlerArguments b</c>), app settings
/// are <c>--appSettings NAME=VALUE</c>.</summary>
public static class FunctionsHostArguments
{
    private static readonly JsonSerializerOptions Json = new(JsonSerializerDefaults.Web)
    {
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        NumberHandling = JsonNumberHandling.AllowReadingFromString,
        Converters = { new JsonStringEnumConverter() },
    };

    /// <summary>Reads the arguments.</summary>
    /// <exception cref="ShardCloudException">SC7010: an option is unknown, missing or has no usable value.</exception>
    public static FunctionsHostOptions Parse(IReadOnlyList<string> args)
    {
        try
        {
            var options = new JsonObject();
            for (var i = 0; i < args.Count; i += 2)
            {
                if (!args[i].StartsWith("--", StringComparison.Ordinal) || i + 1 == args.Count) throw Refused($"'{args[i]}' is not an option with a value");
                Set(options, args[i][2..], args[i + 1]);
            }

            return options.Deserialize<FunctionsHostOptions>(Json)!;
        }
        catch (Exception e) when (e is JsonException or IOException or UnauthorizedAccessException or InvalidOperationException)
        {
            throw Refused(e.Message);
        }
    }

    private static void Set(JsonObject options, string name, string value)
    {
        if (name == "options")
        {
            foreach (var (key, given) in JsonNode.Parse(File.ReadAllText(value))!.AsObject()) options.TryAdd(key, given?.DeepClone());
            return;
        }

        var property = typeof(FunctionsHostOptions).GetProperty(name, BindingFlags.Public | BindingFlags.Instance | BindingFlags.IgnoreCase);
        if (property?.PropertyType == typeof(IReadOnlyList<string>))
        {
            if (options[name] is not JsonArray list) options[name] = list = [];
            list.Add(value);
        }
        else if (property?.PropertyType == typeof(IReadOnlyDictionary<string, string?>))
        {
            if (value.IndexOf('=') is not (> 0 and var equals)) throw Refused($"'{value}' is not NAME=VALUE");
            if (options[name] is not JsonObject map) options[name] = map = [];
            map[value[..equals]] = value[(equals + 1)..];
        }
        else
        {
            options[name] = value;
        }
    }

    private static ShardCloudException Refused(string why) => new(
        ErrorCodes.FunctionsAppInvalid, $"The options of the Functions host cannot be used: {why}.", "Give --options FILE, or --name VALUE with the names of the host's options.");
}
