using ShardCloud.Replication;

namespace ShardCloud.Simulation;

internal sealed partial class Member
{
    private readonly Queue<(OutRecord Record, bool Fails, bool Lands)> _wire = new();
    private long _nextArrival, _nextAck, _wireEnds = long.MaxValue;
    private bool _reads;
    private int _unacknowledged; // Records that are on the wire or whose answer is.

    /// <summary>The log has a record more.</summary>
    public void LogGrew()
    {
        if (_reads || _tenure is null || !IsAlive || Tenure.Replica.Position + 1 >= World.Log.Count) return;
        _reads = true;
        After(World.Network.Delay(Scenario.SlowReader, 600), Read);
    }

    private void Read()
    {
        _reads = false;
        if (!Shut.HasFlag(Ways.LogReads) && !World.Network.IsLogAway)
        {
            for (var count = Time.Between(1, 6); count > 0 && Tenure.Replica.Position + 1 < World.Log.Count; count--) Apply((int)Tenure.Replica.Position + 1);
            if (Time.Chance(0.02) && Tenure.Replica.Position >= 0) Apply((int)Tenure.Replica.Position); // Delivered twice.
        }
        LogGrew();
    }

    private void Apply(int offset) => Tenure.Apply(offset, World.Log[offset]);

    /// <summary>Whatever happened, look what has become possible: answers leave, records and batches go.</summary>
    private void Pump()
    {
        foreach (var due in Tenure.TakeDue()) due();
        if (!IsAlive) return;
        ReleaseHeld();
        while (Tenure.TakeRecord() is { } record) Produce(record);
        if (Tenure.TakeBatch() is { } batch) SendCopy(batch);
    }

    /// <summary>One ordered producer: a record never overtakes the one before it. It is on the wire even if the member stands still; if it ends, some of it may be lost.</summary>
    private void Produce(OutRecord record)
    {
        var fails = Time.Chance(Scenario.AppendFailures) && Time.Now < Scenario.FaultsUntil;
        _wire.Enqueue((record, fails, !fails || Time.Chance(0.5)));
        _unacknowledged++;
        _nextArrival = Math.Max(_nextArrival + 1, Time.Now + World.Network.Delay(Scenario.SlowLog, Time.Chance(0.2) ? 2_000 : 200));
        Time.After(_nextArrival - Time.Now, Land);
    }

    private void Land()
    {
        if (IsAlive && (Shut.HasFlag(Ways.LogWrites) || World.Network.IsLogAway))
        {
            Time.After(20, Land); // No time limit on a message: the lease is the limit.
            return;
        }
        var (record, fails, lands) = _wire.Dequeue();
        if (!IsAlive && (Time.Now >= _wireEnds || World.Network.IsLogAway)) return;
        if (World.Records && fails) World.Note($"{Self}: an append fails, its record {(lands ? "lands" : "does not land")}");
        var offset = lands ? World.Log.Append(record.Bytes) : -1;
        _nextAck = Math.Max(_nextAck + 1, Time.Now + World.Network.Delay(Scenario.SlowNetwork, 300));
        After(_nextAck - Time.Now, () =>
        {
            _unacknowledged--;
            if (fails) Tenure.AppendFailed(record, "no answer");
            else Tenure.Produced(record, offset);
        });
    }

    /// <summary>The member link to the backup: a batch that was given up may still arrive.</summary>
    private void SendCopy(BackupBatch batch)
    {
        var isAnswered = false;
        void Answer(bool isKept)
        {
            if (isAnswered) return;
            isAnswered = true;
            if (isKept) Tenure.BackedUp(batch);
            else Tenure.NotBackedUp(batch);
        }

        if (World.Find(batch.Backup) is Member backup)
            World.Network.Send(this, backup, () =>
            {
                var isKept = backup.Keep(Self, batch);
                World.Network.Send(backup, this, () => Answer(isKept));
            });
        After(250, () => Answer(false));
    }

    private bool Keep(IncarnationId owner, BackupBatch batch) => IsWarm && !_keepsNoMore && IsLeaseValid && Map.BackupOf(0, owner) == Self && Map.Live.ContainsKey(owner) && Tenure.Keep(owner, batch.Deltas);
}
