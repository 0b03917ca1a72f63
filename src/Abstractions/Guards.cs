namespace ShardCloud;

/// <summary>The protocol's guards, as switches of the step-function cores: product code always passes <see cref="All"/>.</summary>
/// <remarks>A test turns one off and asserts that its promise breaks; a guard that no history needs would prove nothing.</remarks>
[Flags]
public enum Guards
{
    /// <summary>No guard: for tests only.</summary>
    None = 0,

    /// <summary>Grant is the cut: a take-over reads the log up to its own Grant's offset, then serves.</summary>
    G1 = 1 << 0,

    /// <summary>The final delta of a handoff is appended again under the new epoch.</summary>
    G2 = 1 << 1,

    /// <summary>Answer rule: lease valid, endpoint unsealed here, delta of the epoch held now.</summary>
    G3 = 1 << 2,

    /// <summary>Log-checked answers: an answer leaves when the log has been read to the write without a closing Grant before it.</summary>
    G4 = 1 << 3,

    /// <summary>The handoff id is the map version that set Migrating: a cancelled attempt never comes back to life.</summary>
    G5 = 1 << 4,

    /// <summary>A sealed source unseals only on a map newer than the handoff.</summary>
    G6 = 1 << 5,

    /// <summary>The epoch is the map version of the granting commit, and Grants list what they cover.</summary>
    G7 = 1 << 6,

    /// <summary>Accepted and ahead layers: only the log decides what is accepted; who loses an endpoint drops what is ahead.</summary>
    G8 = 1 << 7,

    /// <summary>The backup is named in the map before the first answer through it.</summary>
    G9 = 1 << 8,

    /// <summary>One request, one delta: its changes and its record are never split.</summary>
    G10 = 1 << 9,

    /// <summary>A failed append ends the tenure of that partition's endpoints.</summary>
    G11 = 1 << 10,

    /// <summary>A renewal is dated by the send of its first try.</summary>
    G12 = 1 << 11,

    /// <summary>One lease row per incarnation: a successor's registration says nothing about its predecessor.</summary>
    G13 = 1 << 12,

    /// <summary>Commits name only live incarnations; take-over is triggered by the state "owner is fenced", not by the event.</summary>
    G14 = 1 << 13,

    /// <summary>No guard of the design but the rule they stand on, as a switch for the simulation alone: readers reject what a closed epoch wrote behind the Grant that closed it.</summary>
    ClosedEpochs = 1 << 14,

    /// <summary>Every guard: what product code passes.</summary>
    All = G1 | G2 | G3 | G4 | G5 | G6 | G7 | G8 | G9 | G10 | G11 | G12 | G13 | G14 | ClosedEpochs,
}
