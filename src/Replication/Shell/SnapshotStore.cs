using System.Globalization;
using Azure;
using Azure.Storage.Blobs;
using Azure.Storage.Blobs.Models;
using Azure.Storage.Blobs.Specialized;

namespace ShardCloud.Replication;

/// <summary>
/// Snapshots as Blobs, <c>{application}/{log identity}/p0007.a</c> and <c>.b</c>: the last two of a partition. The older one is replaced, only by a higher offset than both have and
/// only in the version that was looked at (TRACES 24), so the newest one is never overwritten, and one that turns out damaged has one before it.
/// </summary>
internal sealed class SnapshotStore(BlobContainerClient container, string application, string logIdentity)
{
    private const string PositionKey = "position";

    public async Task EnsureCreatedAsync(CancellationToken cancellation) => await container.CreateIfNotExistsAsync(cancellationToken: cancellation).ConfigureAwait(false);

    /// <summary>The newest snapshot that can be read; null when there is none.</summary>
    /// <param name="partition">Event Hub partition.</param>
    /// <param name="onDamaged">Hears of each that cannot, with its name.</param>
    /// <param name="cancellation">Gives up.</param>
    public async Task<PartitionSnapshot?> LoadAsync(int partition, Action<ShardCloudException, string> onDamaged, CancellationToken cancellation)
    {
        foreach (var generation in (await LookAsync(partition, cancellation).ConfigureAwait(false)).Where(g => g.ETag is not null).OrderByDescending(g => g.Position))
        {
            try
            {
                var stream = await generation.Blob.OpenReadAsync(new BlobOpenReadOptions(allowModifications: false), cancellation).ConfigureAwait(false);
                await using (stream.ConfigureAwait(false)) return await PartitionSnapshot.ReadAsync(stream, cancellation).ConfigureAwait(false);
            }
            catch (ShardCloudException error) when (error.Code == ErrorCodes.CorruptDelta)
            {
                onDamaged(error, generation.Blob.Name);
            }
        }
        return null;
    }

    /// <summary>Writes a snapshot unless the store has one that is as new.</summary>
    /// <returns>True when this one was written; false when another was as new or came first.</returns>
    public async Task<bool> SaveAsync(PartitionSnapshot snapshot, CancellationToken cancellation)
    {
        var generations = await LookAsync(snapshot.Partition, cancellation).ConfigureAwait(false);
        if (generations.Max(g => g.Position) >= snapshot.Position) return false;
        var (blob, _, found) = generations.MinBy(g => (g.ETag is not null, g.Position));
        var conditions = found is { } etag ? new BlobRequestConditions { IfMatch = etag } : new BlobRequestConditions { IfNoneMatch = ETag.All };

        var blocks = new BlockStream(blob);
        await using (blocks.ConfigureAwait(false))
        {
            await snapshot.WriteAsync(blocks, cancellation).ConfigureAwait(false);
            await blocks.FlushAsync(cancellation).ConfigureAwait(false);
            try
            {
                // Blocks become the Blob in one step: a reader sees the old snapshot or the new one, never half of it.
                await blob.CommitBlockListAsync(blocks.Ids, new CommitBlockListOptions
                {
                    Conditions = conditions,
                    Metadata = new Dictionary<string, string> { [PositionKey] = snapshot.Position.ToString(CultureInfo.InvariantCulture) },
                }, cancellation).ConfigureAwait(false);
                return true;
            }
            catch (RequestFailedException error) when (error.Status is 409 or 412)
            {
                return false;
            }
        }
    }

    private async Task<IReadOnlyList<Generation>> LookAsync(int partition, CancellationToken cancellation)
    {
        var generations = new List<Generation>();
        foreach (var letter in "ab")
        {
            var blob = container.GetBlockBlobClient($"{application}/{Uri.EscapeDataString(logIdentity)}/p{partition:D4}.{letter}");
            try
            {
                var properties = (await blob.GetPropertiesAsync(cancellationToken: cancellation).ConfigureAwait(false)).Value;
                var isKnown = long.TryParse(properties.Metadata.TryGetValue(PositionKey, out var text) ? text : null, NumberStyles.None, CultureInfo.InvariantCulture, out var position);
                generations.Add(new Generation(blob, isKnown ? position : -1, properties.ETag));
            }
            catch (RequestFailedException error) when (error.Status == 404)
            {
                generations.Add(new Generation(blob, -1, null));
            }
        }
        return generations;
    }

    /// <summary>A place for a snapshot, and what stands there; no tag: nothing.</summary>
    private readonly record struct Generation(BlockBlobClient Blob, long Position, ETag? ETag);

    /// <summary>Stages what is written to it, 4 MiB a block.</summary>
    private sealed class BlockStream(BlockBlobClient blob) : Stream
    {
        private const int BlockBytes = 4 * 1024 * 1024;
        private readonly string _prefix = Guid.NewGuid().ToString("N"); // Two writers' uncommitted blocks must not meet.
        private readonly MemoryStream _block = new();

        public List<string> Ids { get; } = [];

        public override bool CanRead => false;

        public override bool CanSeek => false;

        public override bool CanWrite => true;

        public override long Length => throw new NotSupportedException();

        public override long Position { get => throw new NotSupportedException(); set => throw new NotSupportedException(); }

        public override async ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            _block.Write(buffer.Span);
            if (_block.Length >= BlockBytes) await FlushAsync(cancellationToken).ConfigureAwait(false);
        }

        public override Task WriteAsync(byte[] buffer, int offset, int count, CancellationToken cancellationToken) => WriteAsync(buffer.AsMemory(offset, count), cancellationToken).AsTask();

        public override async Task FlushAsync(CancellationToken cancellationToken)
        {
            if (_block.Length == 0) return;
            var id = Convert.ToBase64String(System.Text.Encoding.ASCII.GetBytes($"{_prefix}{Ids.Count:D6}"));
            _block.Position = 0;
            await blob.StageBlockAsync(id, _block, cancellationToken: cancellationToken).ConfigureAwait(false);
            Ids.Add(id);
            _block.SetLength(0);
        }

        public override void Flush() => throw new NotSupportedException();

        public override int Read(byte[] buffer, int offset, int count) => throw new NotSupportedException();

        public override long Seek(long offset, SeekOrigin origin) => throw new NotSupportedException();

        public override void SetLength(long value) => throw new NotSupportedException();

        public override void Write(byte[] buffer, int offset, int count) => _block.Write(buffer, offset, count);
    }
}
