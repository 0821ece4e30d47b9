using System.Runtime.CompilerServices;
using System.Runtime.Loader;
using StoragePlugins.Host.Plugins;

namespace StoragePlugins.Host.Tests.Plugins;

public sealed class PluginLoadingTests
{
    [Fact]
    public void Scanning_and_listing_run_no_code_of_a_plugin()
    {
        using Fixture fixture = Fixture.With("RunsAtLoad");
        using PluginCatalog catalog = fixture.Scan();
        PluginEntry plugin = Assert.Single(catalog.Plugins);
        Assert.Equal(PluginState.Discovered, plugin.State);
        Assert.Equal("plain", Assert.Single(catalog.Strategies).Id);
        Assert.DoesNotContain(AssemblyLoadContext.All.SelectMany(context => context.Assemblies), assembly => assembly.GetName().Name == "RunsAtLoad");

        var exception = Assert.Throws<DiagnosticException>(() => catalog.Get<IOrderingPrimitive>("plain"));
        Assert.Contains("code of the plugin ran", exception.Message, StringComparison.Ordinal);
        Assert.Equal(PluginState.Faulted, plugin.State);
    }

    [Fact]
    public void Strategies_of_every_kind_are_what_the_host_expects_and_come_from_their_own_context()
    {
        using Fixture fixture = Fixture.With("Toy");
        using PluginCatalog catalog = fixture.Scan();
        object[] strategies = [catalog.Get<IBlockFormat>("toy"), catalog.Get<IMetadataJournal>("toy-journal"), catalog.Get<IOrderingPrimitive>("toy-order"), catalog.Get<IMediumFactory>("toy-slow")];
        Assert.All(strategies, strategy =>
        {
            AssemblyLoadContext context = AssemblyLoadContext.GetLoadContext(strategy.GetType().Assembly)!;
            Assert.Equal("plugin Toy", context.Name);
            Assert.False(context.IsCollectible);
        });
        Assert.Same(catalog.Get<IBlockFormat>("toy"), strategies[0]);
        Assert.Equal("acknowledged writes are lost in a crash", catalog.Require(StrategyKind.Ordering, "toy-none").Declaration.Unsafe);
        Assert.Equal("Toy.SlowOptions", catalog.OptionsType(catalog.Require(StrategyKind.Medium, "toy-slow"))!.FullName);
    }

    [Fact]
    public void Two_plugins_have_two_versions_of_one_library()
    {
        using Fixture fixture = Fixture.With("LibraryOne", "LibraryTwo");
        using PluginCatalog catalog = fixture.Scan();
        Assert.Equal("first", catalog.Get<IOrderingPrimitive>("library-one").ToString());
        Assert.Equal("second", catalog.Get<IOrderingPrimitive>("library-two").ToString());
    }

    [Fact]
    public void A_native_library_is_found_in_the_plugins_own_folder()
    {
        using Fixture fixture = Fixture.With("CallsNative");
        // The C library's mathematics, which this very process has mapped, under a name that only the plugin's folder knows.
        string mathematics = File.ReadLines("/proc/self/maps").Select(line => line[(line.LastIndexOf(' ') + 1)..]).First(path => Path.GetFileName(path).StartsWith("libm.", StringComparison.Ordinal));
        fixture.Write("CallsNative/libfixturenative.so", File.ReadAllBytes(mathematics));
        using PluginCatalog catalog = fixture.Scan();
        Assert.Equal("cos(0) = 1", catalog.Get<IOrderingPrimitive>("plain").ToString());
    }

    [Theory]
    [InlineData("MissingType", "missing-type", "SP1017", "OnlyInSecond")]
    [InlineData("AbstractStrategy", "plain", "SP1020", "Plain.Ordering public, concrete")]
    [InlineData("ThrowsInConstructor", "plain", "SP1019", "InvalidOperationException: the constructor threw")]
    [InlineData("ThrowsInStaticConstructor", "plain", "SP1019", "FormatException: The input string 'not a number'")]
    public void A_plugin_whose_code_fails_is_faulted_and_the_others_go_on(string name, string id, string code, string text)
    {
        using Fixture fixture = Fixture.With("Toy", name);
        using PluginCatalog catalog = fixture.Scan();
        for (int attempt = 0; attempt < 2; attempt++)
        {
            var exception = Assert.Throws<DiagnosticException>(() => catalog.Get<IOrderingPrimitive>(id));
            Assert.Equal(code, exception.Code);
            Assert.Contains(text, exception.Message, StringComparison.Ordinal);
            Assert.Contains($"{name}.dll", exception.Message, StringComparison.Ordinal);
        }

        PluginEntry faulted = Assert.Single(catalog.Plugins, plugin => plugin.State == PluginState.Faulted);
        Assert.Equal(code, Assert.Single(faulted.Findings).Code);
        Assert.NotNull(catalog.Get<IOrderingPrimitive>("toy-order"));
    }

    [Fact]
    public void An_id_that_two_plugins_claim_belongs_to_neither_and_both_are_named()
    {
        using Fixture fixture = Fixture.With("Toy", "DuplicateId");
        using PluginCatalog catalog = fixture.Scan();
        var exception = Assert.Throws<DiagnosticException>(() => catalog.Get<IOrderingPrimitive>("toy-order"));
        Assert.Equal("SP1014", exception.Code);
        Assert.Contains("plugin DuplicateId 1.0.0", exception.Message, StringComparison.Ordinal);
        Assert.Contains("plugin Toy 1.0.0", exception.Message, StringComparison.Ordinal);
        Assert.All(catalog.Plugins, plugin => Assert.Equal("SP1014", Assert.Single(plugin.Findings).Code));
        Assert.NotNull(catalog.Get<IBlockFormat>("toy"));
    }

    [Fact]
    public void A_plugin_cannot_take_the_place_of_a_strategy_of_the_host()
    {
        using Fixture fixture = Fixture.With("TakesFile");
        using PluginCatalog catalog = fixture.Scan([new BuiltInStrategy(StrategyKind.Medium, "file", "built in", null, () => new Builtin())]);
        Assert.IsType<Builtin>(catalog.Get<IMediumFactory>("file"));
        Assert.Equal("SP1014", Assert.Single(Assert.Single(catalog.Plugins).Findings).Code);
    }

    [Fact]
    public void Of_several_versions_the_highest_is_used_with_a_note()
    {
        using var fixture = new Fixture();
        fixture.Add("ToyNewer", "a");
        fixture.Add("Toy", "b");
        using PluginCatalog catalog = fixture.Scan();
        Assert.Equal("Toy 1.10.0-beta.1", catalog.Require(StrategyKind.Format, "toy").Source);
        PluginEntry older = Assert.Single(catalog.Plugins, plugin => plugin.State == PluginState.Superseded);
        Assert.Equal(("1.0.0", "SP1016"), (older.Manifest!.Version, Assert.Single(older.Findings).Code));
    }

    [Fact]
    public void The_same_file_twice_is_used_once_and_other_builds_of_one_version_collide()
    {
        using var fixture = new Fixture();
        fixture.Add("Toy", "a");
        fixture.Add("Toy", "b");
        using (PluginCatalog catalog = fixture.Scan()) Assert.EndsWith("/a/Toy.dll", catalog.Require(StrategyKind.Format, "toy").Plugin!.Path, StringComparison.Ordinal);
        fixture.Add("ToyOther", "c");
        using PluginCatalog collided = fixture.Scan();
        Assert.Equal("SP1014", Assert.Throws<DiagnosticException>(() => collided.Get<IBlockFormat>("toy")).Code);
    }

    [Fact]
    public void A_rejected_plugin_is_why_its_strategy_is_missing()
    {
        using Fixture fixture = Fixture.With("WrongMajor");
        using PluginCatalog catalog = fixture.Scan();
        Assert.Equal("SP1007", Assert.Throws<DiagnosticException>(() => catalog.Get<IOrderingPrimitive>("plain")).Code);
    }

    [Fact]
    public void A_lone_dll_in_the_directory_is_a_plugin_and_its_library_is_not()
    {
        using var fixture = new Fixture();
        fixture.Add("LibraryOne", ".");
        using PluginCatalog catalog = fixture.Scan();
        Assert.Equal("LibraryOne", Assert.Single(catalog.Plugins).Name);
        Assert.Equal("first", catalog.Get<IOrderingPrimitive>("library-one").ToString());
    }

    [Fact]
    public void An_inspected_plugin_is_unloaded_when_it_is_let_go()
    {
        using Fixture fixture = Fixture.With("Toy");
        WeakReference context = InspectAndLetGo(fixture);
        for (int i = 0; i < 10 && context.IsAlive; i++)
        {
            GC.Collect();
            GC.WaitForPendingFinalizers();
        }

        Assert.False(context.IsAlive);
    }

    [Fact]
    public async Task A_plugin_that_is_being_copied_is_waited_for()
    {
        byte[] whole = await File.ReadAllBytesAsync(Path.Combine(Fixture.Built("Toy"), "Toy.dll"));
        using var fixture = new Fixture();
        string path = fixture.Write("Toy/Toy.dll", whole[..1000]);
        File.SetLastWriteTimeUtc(path, DateTime.UtcNow);
        Task<PluginCatalog> scan = Task.Run(() => fixture.Scan());
        await Task.Delay(PluginDiscovery.CopyPollInterval * 3);
        Assert.False(scan.IsCompleted);
        await using (FileStream stream = new(path, FileMode.Append, FileAccess.Write, FileShare.ReadWrite)) await stream.WriteAsync(whole.AsMemory(1000));
        using PluginCatalog catalog = await scan;
        Assert.NotNull(catalog.Get<IBlockFormat>("toy"));
    }

    [Fact]
    public void A_copy_that_never_ends_is_given_up_after_a_bounded_time()
    {
        byte[] whole = File.ReadAllBytes(Path.Combine(Fixture.Built("Toy"), "Toy.dll"));
        using var fixture = new Fixture();
        string path = fixture.Write("Toy/Toy.dll", whole[..1000]);
        File.SetLastWriteTimeUtc(path, DateTime.UtcNow);
        var time = new RacingTime(now => File.SetLastWriteTimeUtc(path, now));
        using PluginCatalog catalog = fixture.Scan(time: time);
        Assert.Equal("SP1004", Assert.Single(catalog.Plugins).Findings[0].Code);
        Assert.Equal(PluginDiscovery.MaxCopyPolls, time.Waits);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static WeakReference InspectAndLetGo(Fixture fixture)
    {
        using PluginCatalog catalog = fixture.Scan(isUnloadable: true);
        object format = catalog.Get<IBlockFormat>("toy");
        AssemblyLoadContext context = AssemblyLoadContext.GetLoadContext(format.GetType().Assembly)!;
        Assert.True(context.IsCollectible);
        return new WeakReference(context, trackResurrection: true);
    }

    private sealed class Builtin : IMediumFactory
    {
        public IStorageMedium Open(MediumRequest request, StrategyContext context) => throw new NotSupportedException();
    }

    /// <summary>Timers fire at once, and each of them counts as one more write of the copy.</summary>
    /// <summary>A clock that goes on only while somebody waits, however long this machine takes in between.</summary>
    private sealed class RacingTime(Action<DateTime> onWait) : TimeProvider
    {
        private DateTime _now = DateTime.UtcNow;

        public int Waits { get; private set; }

        public override ITimer CreateTimer(TimerCallback callback, object? state, TimeSpan dueTime, TimeSpan period)
        {
            if (dueTime == PluginDiscovery.CopyPollInterval)
            {
                Waits++;
                onWait(_now += dueTime);
                dueTime = TimeSpan.Zero;
            }

            return base.CreateTimer(callback, state, dueTime, period);
        }

        public override DateTimeOffset GetUtcNow() => _now;
    }
}
