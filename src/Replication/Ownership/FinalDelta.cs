using System.Buffers;
using ShardCloud.Crdt;

namespace ShardCloud.Replication;

/// <summary>What a source hands to a destination for one endpoint when it seals.</summary>
/// <param name="Endpoint">The endpoint.</param>
/// <param name="CatchUp">The source's accepted state, when it changed after the destination's position. In the log already, so not appended again.</param>
/// <param name="Ahead">Encoded deltas of the source that it has not read back from the log, in order. The destination appends them under its own epoch (G2).</param>
public sealed record CarriedState(EndpointId Endpoint, Document? CatchUp, IReadOnlyList<ReadOnlyMemory<byte>> Ahead);

/// <summary>The final delta of a handoff: good for exactly this handoff id (G5).</summary>
public sealed record FinalDelta(HandoffId Handoff, IReadOnlyList<CarriedState> Endpoints)
{
    private const byte Version = 1;

    /// <summary>How many deltas the source had ahead of the log.</summary>
    public int AheadCount => Endpoints.Sum(e => e.Ahead.Count);

    /// <summary>Appends it as bytes: <c>version u8 | CRC-32C u32 | handoff, endpoints</c>.</summary>
    public void Write(IBufferWriter<byte> output)
    {
        using var body = new ByteWriter(4096);
        using var state = new ByteWriter(4096);
        body.Varint(Handoff.Value);
        body.Varint(Endpoints.Count);
        foreach (var carried in Endpoints)
        {
            body.Text(carried.Endpoint.Value);
            state.Reset();
            if (carried.CatchUp is not null) DocumentCodec.Encode(carried.CatchUp, state);
            body.Bytes(state.Written);
            body.Varint(carried.Ahead.Count);
            foreach (var delta in carried.Ahead) body.Bytes(delta.Span);
        }
        Checksummed.Write(output, Version, body.Written);
    }

    /// <summary>Reads one.</summary>
    /// <exception cref="ShardCloudException">SC3010: damaged, or of another version.</exception>
    public static FinalDelta Read(ReadOnlyMemory<byte> bytes)
    {
        var reader = new ByteReader(bytes.Span);
        if (!Checksummed.ReadHead(ref reader, bytes.Span, Version)) throw Errors.FinalDeltaCorrupt();
        var (handoff, endpoints) = (reader.Varint(), new List<CarriedState>());
        for (var count = reader.Count(bytesEach: 4); count > 0 && !reader.Bad; count--)
        {
            var endpoint = reader.Endpoint();
            var state = reader.Bytes();
            Document? document = null;
            if (state.Length > 0 && !DocumentCodec.TryDecodeDocument(state, out document)) throw Errors.FinalDeltaCorrupt();
            var ahead = new ReadOnlyMemory<byte>[reader.Count()];
            for (var i = 0; i < ahead.Length; i++)
            {
                var length = reader.Bytes().Length;
                ahead[i] = bytes.Slice(reader.At - length, length);
            }
            endpoints.Add(new CarriedState(endpoint, document, ahead));
        }
        return reader.AtEnd ? new FinalDelta(new HandoffId(handoff), endpoints) : throw Errors.FinalDeltaCorrupt();
    }
}
