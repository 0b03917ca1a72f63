namespace ShardCloud.Contracts;

/// <summary>Problem details (RFC 9457) with our two extension members.</summary>
/// <param name="Type">URI of the code in the documentation.</param>
/// <param name="Title">What kind of error, the same for every occurrence of the code.</param>
/// <param name="Status">HTTP status code.</param>
/// <param name="Detail">The facts of this occurrence.</param>
/// <param name="Code">Stable code, see <see cref="ErrorCodes"/>.</param>
/// <param name="Remedy">What to do now.</param>
/// <param name="Id">Id of the other thing in the way (a running migration, say), where there is one.</param>
public sealed record Problem(string Type, string Title, int Status, string Detail, string Code, string Remedy, string? Id = null)
{
    /// <summary>Media type of the body.</summary>
    public const string MediaType = "application/problem+json";

    /// <summary>Problem of an exception.</summary>
    public static Problem Of(ShardCloudException error, int status, string title, string? id = null) =>
        new($"urn:shardcloud:error:{error.Code}", title, status, error.Message, error.Code, error.Remedy, id);
}
