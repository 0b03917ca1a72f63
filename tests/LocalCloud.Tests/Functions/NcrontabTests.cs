using System.Globalization;
using ShardCloud.LocalCloud.Functions;

namespace ShardCloud.LocalCloud.Tests.Functions;

public sealed class NcrontabTests
{
    [Theory]
    [InlineData("*/30 * * * * *", "2026-03-04T05:06:07", "2026-03-04T05:06:30")]
    [InlineData("*/30 * * * * *", "2026-03-04T05:06:30", "2026-03-04T05:07:00")]
    [InlineData("0 */5 * * * *", "2026-03-04T05:06:07", "2026-03-04T05:10:00")]
    [InlineData("*/5 * * * *", "2026-03-04T05:06:07", "2026-03-04T05:10:00")]
    [InlineData("0 0 9-17 * * MON-FRI", "2026-03-06T17:00:00", "2026-03-09T09:00:00")]
    [InlineData("0 30 9 * Jan,Mar Mon", "2026-02-01T00:00:00", "2026-03-02T09:30:00")]
    [InlineData("0 0 0 29 2 *", "2026-03-01T00:00:00", "2028-02-29T00:00:00")]
    [InlineData("59 59 23 31 12 *", "2026-12-31T23:59:59", "2027-12-31T23:59:59")]
    [InlineData("10,20/20 0 0 * * *", "2026-03-04T00:00:10", "2026-03-04T00:00:20")]
    [InlineData("0 0 0 13 * 5", "2026-03-04T00:00:00", "2026-03-13T00:00:00")] // day and weekday must both match
    public void Next_AfterATime_IsTheFirstMatch(string text, string after, string expected)
    {
        Assert.True(Ncrontab.TryParse(text, out var schedule, out var error), error);

        Assert.Equal(Utc(expected), schedule.Next(Utc(after)));
    }

    [Fact]
    public void Next_OfADateThatNeverComes_IsNull()
    {
        Assert.True(Ncrontab.TryParse("0 0 0 30 2 *", out var schedule, out _));

        Assert.Null(schedule.Next(Utc("2026-01-01T00:00:00")));
    }

    // Against the definition: the next time is the first second after that every field admits.
    [Theory, InlineData("7-50/9 3,4 */6 * * *"), InlineData("0 0 */7 1-9/4 * Tue,SAT")]
    public void Next_SteppedThrough_AgreesWithASearchSecondBySecond(string text)
    {
        Assert.True(Ncrontab.TryParse(text, out var schedule, out _));
        var at = Utc("2026-05-01T00:00:00");
        for (var i = 0; i < 12; i++)
        {
            var next = schedule.Next(at)!.Value;
            for (var skipped = at.AddSeconds(1); skipped < next && skipped < at.AddHours(2); skipped = skipped.AddSeconds(1))
                Assert.NotEqual(skipped, schedule.Next(skipped.AddSeconds(-1)));
            Assert.True(next > at);
            Assert.Equal(next, schedule.Next(next.AddTicks(-1)));
            at = next;
        }
    }

    [Theory]
    [InlineData("* * * *"), InlineData("60 * * * * *"), InlineData("* * * 0 * *"), InlineData("5-1 * * * * *")]
    [InlineData("*/0 * * * * *"), InlineData("a * * * * *"), InlineData("1- * * * * *"), InlineData("00:05:00")]
    public void TryParse_WhatIsNoSchedule_IsRefusedWithAReason(string text)
    {
        Assert.False(Ncrontab.TryParse(text, out _, out var error));
        Assert.NotEmpty(error);
    }

    private static DateTime Utc(string text) => DateTime.Parse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal | DateTimeStyles.AdjustToUniversal);
}
