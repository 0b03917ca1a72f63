using System.Text.Json;
using System.Text.Json.Serialization;

namespace ShardCloud.Packages;

/// <summary>What a package says of itself: file <c>shardcloud.json</c> at its root.</summary>
/// <param name="Version">Version of the application, <see cref="PackageVersion"/>.</param>
/// <param name="Command">How it is started, from the folder of the package: a program of the package, or one that the host has (<c>dotnet</c>, <c>node</c>), and its arguments.</param>
public sealed record PackageManifest(string Version, IReadOnlyList<string> Command)
{
    /// <summary>Name of the file.</summary>
    public const string FileName = "shardcloud.json";

    /// <summary>Bytes of the file.</summary>
    internal const int BytesMax = 16 * 1024;

    private const int WordsMax = 64;

    /// <exception cref="ShardCloudException">SC5042: not a manifest.</exception>
    internal static PackageManifest Read(ReadOnlySpan<byte> json)
    {
        PackageManifest? manifest;
        try
        {
            manifest = JsonSerializer.Deserialize(json, PackageJson.Default.PackageManifest);
        }
        catch (JsonException error)
        {
            throw Errors.BadManifest($"it cannot be read: {error.Message}");
        }
        if (!PackageVersion.TryParse(manifest?.Version, out _)) throw Errors.BadManifest($"'{manifest?.Version}' is no version");
        if (manifest!.Command is not { Count: > 0 and <= WordsMax } command || command.Any(string.IsNullOrEmpty)) throw Errors.BadManifest($"command needs 1 to {WordsMax} words, none of them empty");
        return manifest;
    }
}

[JsonSourceGenerationOptions(JsonSerializerDefaults.Web, UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow, RespectNullableAnnotations = true)]
[JsonSerializable(typeof(PackageManifest))]
[JsonSerializable(typeof(IReadOnlyList<string>))]
internal sealed partial class PackageJson : JsonSerializerContext;
