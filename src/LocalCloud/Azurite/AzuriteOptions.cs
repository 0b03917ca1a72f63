namespace ShardCloud.LocalCloud.Azurite;

/// <summary>How the storage emulator runs.</summary>
public sealed record AzuriteOptions
{
    /// <summary>Folder of its data, used by one emulator at a time, or null to keep everything in memory.</summary>
    /// <remarks>Tables are written to the file every few seconds and at a graceful stop: killing the emulator itself loses the last seconds.</remarks>
    public string? DataFolder { get; init; }

    /// <summary>Port of the blob service; 0 (default) takes a free one.</summary>
    public int BlobPort { get; init; }

    /// <summary>Port of the queue service; 0 (default) takes a free one.</summary>
    public int QueuePort { get; init; }

    /// <summary>Port of the table service; 0 (default) takes a free one.</summary>
    public int TablePort { get; init; }

    /// <summary>Memory for blobs when nothing is kept on disk, in MiB. Default 512. A write past it fails.</summary>
    public int MemoryMegabytesMax { get; init; } = 512;

    /// <summary>File for what the emulator prints, or null.</summary>
    public string? LogFile { get; init; }

    /// <summary>Where the packages are kept. Default <see cref="AzuriteInstaller.DefaultCacheFolder"/>.</summary>
    public string? CacheFolder { get; init; }

    /// <summary>Longest wait for the services to answer. Default 60 s: a cold disk and a busy machine included.</summary>
    public TimeSpan StartTimeout { get; init; } = TimeSpan.FromSeconds(60);
}
