namespace ShardCloud.ShardRuntime.Tests;

public sealed class WakeUpTests
{
    /// <summary>Who stops a member wakes every leg, and one of them may just have ended: its stop ended with an error.</summary>
    [Fact]
    public void Set_WhenTheLoopHasEnded_IsNothing()
    {
        var wake = new WakeUp();
        wake.Dispose();
        wake.Set();
    }
}
