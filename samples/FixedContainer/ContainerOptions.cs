using System.ComponentModel;
using System.ComponentModel.DataAnnotations;
using StoragePlugins;

namespace Samples.FixedContainer;

/// <summary>What a configuration or <c>sphost image create -o label=backup</c> may set. The crash kit varies the label: a header may say more than it must.</summary>
public sealed class ContainerOptions
{
    /// <summary>For people; kept in the header and shown by <c>sphost image info</c>.</summary>
    [Description("for people; kept in the image and shown by 'sphost image info'")]
    [MaxLength(ContainerHeader.MaxLabelBytes)]
    [CrashTestValues("", "crash-test")]
    public string Label { get; set; } = "";
}
