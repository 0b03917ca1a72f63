using System.Diagnostics;
using System.Globalization;

namespace ShardCloud.Bench.Load;

/// <summary>nginx as a reverse proxy, where it is installed: what a proxy in C does here. HTTP/1.1 on both legs, since it speaks no HTTP/2 to a backend.</summary>
internal sealed class Nginx : IMeasured, IDisposable
{
    private const double TicksPerSecond = 100; // USER_HZ, the same on every Linux of today.

    private readonly DirectoryInfo _folder = Directory.CreateTempSubdirectory("shardcloud-nginx-");
    private readonly Process _process;

    private Nginx(string program, int port, int backend)
    {
        var configuration = Path.Combine(_folder.FullName, "nginx.conf");
        File.WriteAllText(configuration, string.Create(CultureInfo.InvariantCulture, $$"""
            daemon off;
            worker_processes {{Environment.ProcessorCount}};
            pid {{_folder.FullName}}/pid;
            error_log stderr warn;
            events { worker_connections 1024; }
            http {
              access_log off;
              client_body_temp_path {{_folder.FullName}}/body; proxy_temp_path {{_folder.FullName}}/proxy; fastcgi_temp_path {{_folder.FullName}}/f; uwsgi_temp_path {{_folder.FullName}}/u; scgi_temp_path {{_folder.FullName}}/s;
              keepalive_requests 1000000000;
              upstream backend { server 127.0.0.1:{{backend}}; keepalive 64; keepalive_requests 1000000000; }
              server {
                listen 127.0.0.1:{{port}};
                location / { proxy_pass http://backend; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host; proxy_set_header X-Forwarded-For $remote_addr; }
              }
            }
            """));
        _process = Process.Start(new ProcessStartInfo(program, ["-c", configuration, "-e", "stderr"]) { RedirectStandardError = true })!;
    }

    public string Said => _process.HasExited ? _process.StandardError.ReadToEnd() : "";

    /// <summary>Null where nginx is not installed.</summary>
    public static Nginx? Start(int port, int backend)
    {
        string[] places = [.. (Environment.GetEnvironmentVariable("PATH") ?? "").Split(Path.PathSeparator), "/usr/sbin"];
        var program = places.Select(folder => Path.Combine(folder, "nginx")).FirstOrDefault(File.Exists);
        return program is null ? null : new Nginx(program, port, backend);
    }

    /// <summary>Master and workers together; what it allocates is not seen.</summary>
    public Used Use()
    {
        var ticks = 0L;
        foreach (var folder in Directory.EnumerateDirectories("/proc").Where(f => int.TryParse(Path.GetFileName(f), out _)))
        {
            try
            {
                // After the name, which may hold spaces: state, parent, …; user and system time are the 12th and 13th of these.
                var fields = File.ReadAllText(Path.Combine(folder, "stat")).Split(") ", 2)[1].Split(' ');
                if (fields[1] == $"{_process.Id}" || Path.GetFileName(folder) == $"{_process.Id}")
                    ticks += long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture);
            }
            catch (Exception error) when (error is IOException or UnauthorizedAccessException)
            {
                // Ended meanwhile.
            }
        }
        return new Used(0, TimeSpan.FromSeconds(ticks / TicksPerSecond), TimeSpan.Zero);
    }

    public void Dispose()
    {
        _process.Kill(entireProcessTree: true);
        _process.WaitForExit();
        _process.Dispose();
        _folder.Delete(recursive: true);
    }
}
