using System.Diagnostics.CodeAnalysis;
using System.Globalization;

namespace ShardCloud.Packages;

/// <summary>Version of an application: <c>major.minor.patch</c>, each 0 to 65,535. Ordered as numbers; a package with a pre-release name gets a patch of its own instead.</summary>
public readonly record struct PackageVersion(int Major, int Minor, int Patch) : IComparable<PackageVersion>
{
    private const int PartMax = 65_535;

    /// <summary>Reads <c>2.0.1</c>; nothing else is a version.</summary>
    public static bool TryParse([NotNullWhen(true)] string? text, out PackageVersion version)
    {
        version = default;
        var parts = text?.Split('.') ?? [];
        if (parts.Length != 3 || !TryPart(parts[0], out var major) || !TryPart(parts[1], out var minor) || !TryPart(parts[2], out var patch)) return false;
        version = new PackageVersion(major, minor, patch);
        return true;
    }

    /// <exception cref="ShardCloudException">SC5020: not a version.</exception>
    public static PackageVersion Parse(string? text) => TryParse(text, out var version) ? version
        : throw new ShardCloudException(ErrorCodes.BadValue, $"'{text}' is no version.", "Write three numbers, for example 2.0.1.");

    /// <inheritdoc/>
    public int CompareTo(PackageVersion other) => (Major, Minor, Patch).CompareTo((other.Major, other.Minor, other.Patch));

    /// <inheritdoc/>
    public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"{Major}.{Minor}.{Patch}");

#pragma warning disable CS1591 // The order.
    public static bool operator <(PackageVersion left, PackageVersion right) => left.CompareTo(right) < 0;

    public static bool operator >(PackageVersion left, PackageVersion right) => left.CompareTo(right) > 0;

    public static bool operator <=(PackageVersion left, PackageVersion right) => left.CompareTo(right) <= 0;

    public static bool operator >=(PackageVersion left, PackageVersion right) => left.CompareTo(right) >= 0;
#pragma warning restore CS1591

    // One spelling for each version: no leading zeros, for it becomes a name.
    private static bool TryPart(string text, out int part) =>
        int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out part) && part <= PartMax && (text.Length == 1 || text[0] != '0');
}
