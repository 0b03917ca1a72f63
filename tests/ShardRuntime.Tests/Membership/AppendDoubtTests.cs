using ShardCloud.ShardRuntime.Membership;

namespace ShardCloud.ShardRuntime.Tests.Membership;

/// <summary>TRACES 30: an owner whose appends go nowhere, and the log that is away for all.</summary>
public sealed class AppendDoubtTests
{
    private static readonly TimeSpan Lease = TimeSpan.FromSeconds(8);

    [Fact]
    public void OnlyThisMembersAppendsGoNowhere_ItIsTheFaultHere()
    {
        var doubt = new AppendDoubt(Lease);
        doubt.Probed(3, At(0));
        Assert.Empty(doubt.Due(At(3)));
        Assert.Equal([3], doubt.Due(At(4)));
        Assert.Null(doubt.BackupAppended(3, acknowledged: true, At(4)));
        Assert.Null(doubt.BackupAppended(3, acknowledged: true, At(7)));
        Assert.Equal(At(8), doubt.BackupAppended(3, acknowledged: true, At(8)));
    }

    [Fact]
    public void LogIsAwayForAll_HoweverLong_NobodyGivesUp()
    {
        var doubt = new AppendDoubt(Lease);
        doubt.Probed(3, At(0));
        for (var second = 4; second < 600; second++) Assert.Null(doubt.BackupAppended(3, acknowledged: false, At(second)));
    }

    /// <summary>The log comes back, and the backup's client finds it a second before this member's does.</summary>
    [Fact]
    public void LogComesBackToTheBackupFirst_NobodyGivesUp()
    {
        var doubt = new AppendDoubt(Lease);
        doubt.Probed(3, At(0));
        for (var second = 4; second < 30; second++) Assert.Null(doubt.BackupAppended(3, acknowledged: false, At(second)));
        Assert.Null(doubt.BackupAppended(3, acknowledged: true, At(30)));
        Assert.Null(doubt.BackupAppended(3, acknowledged: true, At(31)));
        doubt.Answered(3);
        Assert.Empty(doubt.Due(At(60)));
        Assert.Null(doubt.BackupAppended(3, acknowledged: true, At(60)));
    }

    /// <summary>A log that comes and goes is no proof against this member.</summary>
    [Fact]
    public void BackupsAppendFailsBetween_ItIsCountedAnew()
    {
        var doubt = new AppendDoubt(Lease);
        doubt.Probed(3, At(0));
        Assert.Null(doubt.BackupAppended(3, acknowledged: true, At(5)));
        Assert.Null(doubt.BackupAppended(3, acknowledged: false, At(8)));
        Assert.Null(doubt.BackupAppended(3, acknowledged: true, At(9)));
        Assert.Null(doubt.BackupAppended(3, acknowledged: true, At(12)));
        Assert.Equal(At(13), doubt.BackupAppended(3, acknowledged: true, At(13)));
    }

    private static TimeSpan At(int seconds) => TimeSpan.FromSeconds(seconds);
}
