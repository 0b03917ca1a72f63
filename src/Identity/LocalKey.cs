using System.Security.Cryptography;
using System.Text;
using Microsoft.IdentityModel.Tokens;

namespace ShardCloud.Identity;

/// <summary>The signing key of a local cloud: 64 random bytes in a file that only its user can read. In Azure, Entra signs instead.</summary>
public sealed class LocalKey
{
    private const int KeyBytes = 64;

    private LocalKey(byte[] key) => Key = new SymmetricSecurityKey(key) { KeyId = Convert.ToHexStringLower(SHA256.HashData(key)[..8]) };

    internal SymmetricSecurityKey Key { get; }

    /// <summary>Reads the key, or makes it on first use. Two processes that start at once end up with the same key.</summary>
    /// <exception cref="ShardCloudException">SC2004: the file is not a key, or others can read it.</exception>
    public static LocalKey LoadOrCreate(string path)
    {
        if (!File.Exists(path)) Create(path);
        return Load(path);
    }

    /// <summary>Reads the key.</summary>
    /// <exception cref="ShardCloudException">SC2004: there is no such file, it is not a key, or others can read it.</exception>
    public static LocalKey Load(string path)
    {
        if (!File.Exists(path)) throw Refuse(path, "it does not exist");
        if (!OperatingSystem.IsWindows() && (File.GetUnixFileMode(path) & (UnixFileMode.GroupRead | UnixFileMode.OtherRead | UnixFileMode.GroupWrite | UnixFileMode.OtherWrite)) != 0)
            throw Refuse(path, "other users can read or write it");
        var bytes = File.ReadAllBytes(path);
        return bytes.Length == KeyBytes ? new LocalKey(bytes) : throw Refuse(path, $"it holds {bytes.Length} bytes instead of {KeyBytes}");
    }

    /// <summary>A secret of 32 bytes for another use, which tells nothing of this key (HKDF, RFC 5869). The same for the same key and use.</summary>
    public byte[] Derive(string use) => HKDF.DeriveKey(HashAlgorithmName.SHA256, Key.Key, outputLength: 32, info: Encoding.UTF8.GetBytes(use));

    private static void Create(string path)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(Path.GetFullPath(path))!);
        var draft = $"{path}.{Guid.NewGuid():N}";
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows()) options.UnixCreateMode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        using (var file = new FileStream(draft, options)) file.Write(RandomNumberGenerator.GetBytes(KeyBytes));
        try
        {
            File.Move(draft, path, overwrite: false); // Appears whole or not at all; the loser of a race reads the winner's.
        }
        catch (IOException) when (File.Exists(path))
        {
            File.Delete(draft);
        }
    }

    private static ShardCloudException Refuse(string path, string why) => new(ErrorCodes.BadKey,
        $"The local key '{path}' cannot be used: {why}.", "Delete the file to have a new one made, then restart every member; on Unix its mode must be 600.");
}
