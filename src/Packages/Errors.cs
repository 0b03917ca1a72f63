namespace ShardCloud.Packages;

internal static class Errors
{
    public static ShardCloudException Unreadable(string why, Exception? inner = null) => new(
        ErrorCodes.PackageUnreadable, $"The package is not a whole zip file: {why}", "Build it again, and see that it was copied to its end.", inner);

    public static ShardCloudException Unsafe(string entry, string why) => new(
        ErrorCodes.PackageUnsafe, $"The package's entry '{entry}' {why}.", "Zip the folder's contents by relative paths, plain files only.");

    public static ShardCloudException BadManifest(string why) => new(
        ErrorCodes.PackageManifestBad, $"{PackageManifest.FileName} of the package is not usable: {why}.", """Put {"version":"2.0.0","command":["dotnet","App.dll"]} at the root of the zip.""");

    public static ShardCloudException CannotStart(string program, string why) => new(
        ErrorCodes.PackageCannotStart, $"The package's program '{program}' {why}.", "Zip it on Linux or macOS after 'chmod +x', for the hosts' operating system and processor, or start it by 'dotnet'.");

    public static ShardCloudException TooLarge(string what, long actual, long most) => new(
        ErrorCodes.OverLimit, $"The package has {actual} {what}; {most} are allowed.", "Leave out what the application does not need to run.");
}
