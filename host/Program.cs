using StoragePlugins.Host.Commands;

return await HostCommandLine.RunAsync(args, Console.Out, Console.Error).ConfigureAwait(false);
