using System.ComponentModel.DataAnnotations;
using ShardCloud.Routing;

namespace ShardCloud.ShardRuntime.Sidecar;

/// <summary>An application in any language that the runtime runs beside itself; docs/any-language.md. Environment <c>ShardCloud__App__Command</c> and so on.</summary>
public sealed class AppSettings
{
    /// <summary>Prefix of a convergent template in <see cref="Endpoints"/>.</summary>
    public const string Convergent = "convergent:";

    /// <summary>Program and arguments, e.g. <c>node app.js</c>; quotes keep words together, no shell reads it. Empty (default): there is none.</summary>
    public string Command { get; set; } = "";

    /// <summary>Port of 127.0.0.1 it listens on; it is told in <c>PORT</c>. Default 0: a free one, anew for each start.</summary>
    [Range(0, 65_535)]
    public int Port { get; set; }

    /// <summary>Templates of its endpoints, e.g. <c>/rooms/{room}</c> or <c>convergent:/likes/{page}</c>.</summary>
    public IList<string> Endpoints { get; init; } = [];

    /// <summary>File with what it says of its templates: contract probes and shadow rules (docs/probes.md), from its working directory. Empty (default): nothing.</summary>
    public string Contract { get; set; } = "";

    /// <summary>Its working directory; null (default): the runtime's.</summary>
    public string? WorkingDirectory { get; set; }

    /// <summary>It must listen this long after its start. Default 30 s.</summary>
    [Range(typeof(TimeSpan), "00:00:01", "00:10:00")]
    public TimeSpan StartTimeout { get; set; } = TimeSpan.FromSeconds(30);

    /// <summary>Requests wait while it is away for less than this, counted from its end; past it 503 (SC4020). Default 10 s: more than a start takes.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "00:05:00")]
    public TimeSpan WaitMax { get; set; } = TimeSpan.FromSeconds(10);

    /// <summary>From asking it to stop (SIGTERM) to killing it. Default 5 s; the member has sent its last answer by then.</summary>
    [Range(typeof(TimeSpan), "00:00:00", "00:05:00")]
    public TimeSpan StopGrace { get; set; } = TimeSpan.FromSeconds(5);

    /// <summary><see cref="Endpoints"/> as the map has them.</summary>
    internal IEnumerable<TemplateSpec> Templates() => Endpoints.Select(endpoint => endpoint.StartsWith(Convergent, StringComparison.Ordinal)
        ? new TemplateSpec(endpoint[Convergent.Length..], Mode.Convergent)
        : new TemplateSpec(endpoint));

    /// <summary>The words of <see cref="Command"/>.</summary>
    /// <exception cref="ShardCloudException">SC5020: a quote without its pair.</exception>
    internal IReadOnlyList<string> Words()
    {
        List<string> words = [];
        var word = new System.Text.StringBuilder();
        var (quote, isWord) = ('\0', false);
        foreach (var character in Command)
        {
            if (quote == '\0' && character is '"' or '\'') (quote, isWord) = (character, true);
            else if (character == quote) quote = '\0';
            else if (quote == '\0' && char.IsWhiteSpace(character)) End();
            else
            {
                word.Append(character);
                isWord = true;
            }
        }
        if (quote != '\0') throw new ShardCloudException(ErrorCodes.BadValue, $"ShardCloud:App:Command has a quote without its pair: {Command}", "Quote words with spaces: \"my app.js\".");
        End();
        return words;

        void End()
        {
            if (isWord) words.Add(word.ToString());
            word.Clear();
            isWord = false;
        }
    }
}
