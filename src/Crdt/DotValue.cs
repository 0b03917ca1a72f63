using System.Runtime.InteropServices;

namespace ShardCloud.Crdt;

/// <summary>What hangs on a dot. A dot is issued once with one payload, so two payloads of one dot mean a broken writer; <see cref="Merge"/> still picks one for all.</summary>
internal interface IPayload<T> : IWeighed, IEquatable<T>
{
    static abstract T Merge(T left, T right);

    static abstract T Read(ref StateReader reader);

    void Write(in StateWriter writer);
}

/// <summary>A live dot and its payload.</summary>
internal readonly record struct Dotted<T>(Dot Dot, T Payload);

/// <summary>Few live dots with payloads, ascending: what counters, registers and flags are made of. One entry per epoch that wrote, as a rule.</summary>
/// <remarks>The first entry lies in the object itself: a million endpoints with one counter each need no array for it.</remarks>
internal sealed class DotValue<T>(FieldKind kind) : CrdtValue(kind)
    where T : IPayload<T>
{
    private Dotted<T> _one; // The only entry while there is one; its sequence is 0 while there is none.
    private Dotted<T>[]? _many;

    public DotValue(FieldKind kind, ReadOnlySpan<Dotted<T>> entries)
        : this(kind) => Set(entries);

    public ReadOnlySpan<Dotted<T>> Entries => Editable;

    internal override bool IsBlank => Entries.IsEmpty;

    internal override int Weight
    {
        get
        {
            var weight = Wire.SizeOf((ulong)Entries.Length);
            foreach (ref readonly var entry in Entries) weight += Wire.SizeOf(entry.Dot) + entry.Payload.Weight;
            return weight;
        }
    }

    /// <summary>The entries, for the session that owns this value.</summary>
    internal Span<Dotted<T>> Editable => _many ?? MemoryMarshal.CreateSpan(ref _one, _one.Dot.Sequence == 0 ? 0 : 1);

    /// <summary>Replaces all entries.</summary>
    internal void Set(ReadOnlySpan<Dotted<T>> entries)
    {
        _one = entries.Length == 1 ? entries[0] : default;
        _many = entries.Length > 1 ? entries.ToArray() : null;
    }

    internal void Insert(int at, Dotted<T> entry)
    {
        var entries = Entries;
        if (entries.IsEmpty)
        {
            _one = entry;
            return;
        }
        _many = [.. entries[..at], entry, .. entries[at..]];
        _one = default;
    }

    internal void RemoveAt(int at)
    {
        var entries = Entries;
        if (entries.Length > 2) _many = [.. entries[..at], .. entries[(at + 1)..]];
        else (_one, _many) = (entries.Length == 2 ? entries[1 - at] : default, null);
    }

    internal override DotValue<T> Copy(long stamp) => new(Kind, Entries) { Stamp = stamp };

    internal override CrdtValue Join(CrdtValue right, ref JoinPass pass)
    {
        var joined = this;
        var theirs = ((DotValue<T>)right).Entries;
        if (Entries.Length == 1 && theirs.Length == 1 && Entries[0].Dot != theirs[0].Dot)
        {
            // The hot path: one owner's next total or write takes the place of its last one.
            var (keepsLeft, keepsRight) = (pass.KeepsLeft(Entries[0].Dot), pass.KeepsRight(theirs[0].Dot));
            if (keepsLeft && !keepsRight) return this;
            joined = Changing(joined, ref pass);
            if (keepsLeft) joined.Insert(joined.Entries[0].Dot.CompareTo(theirs[0].Dot) < 0 ? 1 : 0, theirs[0]);
            else if (keepsRight) joined.Editable[0] = theirs[0];
            else joined.RemoveAt(0);
            return joined;
        }

        for (int l = 0, r = 0; l < joined.Entries.Length || r < theirs.Length;)
        {
            var order = l == joined.Entries.Length ? 1 : r == theirs.Length ? -1 : joined.Entries[l].Dot.CompareTo(theirs[r].Dot);
            if (order == 0)
            {
                pass.Both();
                var mine = joined.Entries[l].Payload;
                var merged = T.Merge(mine, theirs[r++].Payload);
                if (!merged.Equals(mine)) (joined = Changing(joined, ref pass)).Editable[l] = new(joined.Entries[l].Dot, merged);
                l++;
            }
            else if (order < 0)
            {
                if (pass.KeepsLeft(joined.Entries[l].Dot)) l++;
                else (joined = Changing(joined, ref pass)).RemoveAt(l);
            }
            else
            {
                if (pass.KeepsRight(theirs[r].Dot)) (joined = Changing(joined, ref pass)).Insert(l++, theirs[r]);
                r++;
            }
        }
        return joined;
    }

    internal override CrdtValue Where(ref JoinPass pass)
    {
        var kept = this;
        for (var i = 0; i < kept.Entries.Length;)
        {
            if (pass.Keeps(kept.Entries[i].Dot)) i++;
            else (kept = Changing(kept, ref pass)).RemoveAt(i);
        }
        return kept;
    }

    /// <summary>Totals of closed epochs become one entry, under the highest of their dots: nobody writes under those epochs any more.</summary>
    internal override CrdtValue Fold(Epoch closed, long stamp)
    {
        if (this is not DotValue<Totals> totals) return this;
        var count = 0;
        while (count < totals.Entries.Length && totals.Entries[count].Dot.Epoch <= closed) count++;
        if (count < 2) return this;

        // Left apart when the sum would not fit: rare enough to cost a few bytes.
        Int128 up = 0, down = 0;
        foreach (ref readonly var entry in totals.Entries[..count]) (up, down) = (up + entry.Payload.Increments, down + entry.Payload.Decrements);
        if (up > long.MaxValue || down > long.MaxValue) return this;
        var folded = new Dotted<Totals>(totals.Entries[count - 1].Dot, new((long)up, (long)down));
        return new DotValue<Totals>(Kind, [folded, .. totals.Entries[count..]]) { Stamp = stamp };
    }

    internal override void CollectDots(ref DotList dots)
    {
        foreach (ref readonly var entry in Entries) dots.Add(entry.Dot);
    }

    internal override bool SameAs(CrdtValue other) => other is DotValue<T> value && Kind == other.Kind && Entries.SequenceEqual(value.Entries);

    internal override void Write(in StateWriter writer)
    {
        writer.VarInt((ulong)Entries.Length);
        foreach (ref readonly var entry in Entries)
        {
            writer.Dot(entry.Dot);
            entry.Payload.Write(writer);
        }
    }

    internal static DotValue<T> Read(FieldKind kind, ref StateReader reader)
    {
        var count = reader.NotEmpty(reader.Count(entryBytesMin: 2));
        if (count == 1) return new DotValue<T>(kind) { _one = new(reader.OneDot(), T.Read(ref reader)) };
        var entries = new Dotted<T>[count];
        for (var i = 0; i < count; i++)
        {
            entries[i] = new(reader.OneDot(), T.Read(ref reader));
            if (i > 0 && entries[i - 1].Dot.CompareTo(entries[i].Dot) >= 0) throw reader.Corrupt("dots are not ascending");
        }
        return new DotValue<T>(kind) { _many = entries };
    }

    private static DotValue<T> Changing(DotValue<T> value, ref JoinPass pass)
    {
        pass.IsChanged = true;
        return value.OwnedBy(pass.Stamp);
    }
}
