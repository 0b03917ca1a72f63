using ShardCloud.Bench.Load;

// One program, five roles: without arguments it measures, and starts itself again as backend, as plain proxy, as raw relay and as load generator.
return args switch
{
    ["backend", var http1, var http2] => await Backend.RunAsync(int.Parse(http1, null), int.Parse(http2, null)),
    ["plain", var port, var destination] => await PlainProxy.RunAsync(int.Parse(port, null), destination),
    ["raw", var port, var backend] => await RawRelay.RunAsync(int.Parse(port, null), int.Parse(backend, null)),
    ["generate", .. var rest] => Generator.Run(GeneratorOptions.Parse(rest)),
    _ => await Measurement.RunAsync(Settings.Parse(args)),
};
