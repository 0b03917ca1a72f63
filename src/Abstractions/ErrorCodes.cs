namespace ShardCloud;

/// <summary>Every stable error code, one line each; <c>docs/errors.md</c> explains them and a test holds the two together.</summary>
/// <remarks>Ranges: 1xxx names and map, 2xxx members and leases, 3xxx state, 4xxx serving, 5xxx management API, 6xxx log and stores, 7xxx local cloud and CLI.</remarks>
public static class ErrorCodes
{
#pragma warning disable CS1591 // The names say it, docs/errors.md explains it.
    public const string BadEndpoint = "SC1001";
    public const string BadShard = "SC1002";
    public const string BadTemplate = "SC1003";
    public const string StaleEpoch = "SC1004";
    public const string CommitTooLarge = "SC1005";
    public const string CommitAcrossPartitions = "SC1006";
    public const string NotLive = "SC1007";
    public const string PreconditionFailed = "SC1008";
    public const string MapWentBack = "SC1009";
    public const string TemplateConflict = "SC1010";
    public const string MapUnreadable = "SC1011";
    public const string BadContract = "SC1012";

    public const string BadGraph = "SC1020";
    public const string BadPartition = "SC1021";

    public const string LeaseLost = "SC2001";
    public const string Fenced = "SC2002";
    public const string ClocksDisagree = "SC2003";
    public const string BadKey = "SC2004";
    public const string ManyOver = "SC2005";
    public const string ManySlow = "SC2006";
    public const string LevelTooFar = "SC2007";

    public const string WrongType = "SC3001";
    public const string NameTooLong = "SC3002";
    public const string DeltaTooLarge = "SC3003";
    public const string DocumentTooLarge = "SC3004";
    public const string ReadOnlyRequest = "SC3005";
    public const string NoEndpoint = "SC3006";
    public const string CommitRefused = "SC3007";
    public const string OutOfBounds = "SC3008";
    public const string StateHandleEnded = "SC3009";
    public const string CorruptDelta = "SC3010";
    public const string OutboxNotExclusive = "SC3011";

    public const string NotOwner = "SC4001";
    public const string WrongIncarnation = "SC4002";
    public const string ParkingFull = "SC4003";
    public const string ParkedTooLong = "SC4004";
    public const string TooManyHops = "SC4005";
    public const string BodyTooLarge = "SC4006";
    public const string NoShard = "SC4007";
    public const string MemberOnly = "SC4008";
    public const string RequestTableFull = "SC4009";
    public const string AnswerNotRecorded = "SC4010";
    public const string QueueFull = "SC4011";
    public const string OutcomeUnknown = "SC4012";
    public const string SessionUnavailable = "SC4013";
    public const string CircularCall = "SC4014";
    public const string CallTimedOut = "SC4015";
    public const string CallDiffers = "SC4016";
    public const string OutboxFull = "SC4017";
    public const string TooManySenders = "SC4018";

    public const string AppUnavailable = "SC4020";
    public const string AppBroke = "SC4021";
    public const string AppGivenUp = "SC4022";

    public const string SocketMessageTooLarge = "SC4030";
    public const string SocketMoved = "SC4031";
    public const string NotASocket = "SC4032";
    public const string TooManyConnections = "SC4033";
    public const string TooMuchSent = "SC4034";
    public const string ConnectionRecordTooLarge = "SC4035";
    public const string SocketsNeedExclusive = "SC4036";

    public const string AmbiguousRequest = "SC4040";

    public const string NotApart = "SC4050";

    public const string MalformedJson = "SC5001";
    public const string UnknownMember = "SC5002";
    public const string EmptyList = "SC5003";
    public const string DuplicateEndpoint = "SC5004";
    public const string UnknownShard = "SC5005";
    public const string AlreadyThere = "SC5006";
    public const string DestinationNotReady = "SC5007";
    public const string OverLimit = "SC5008";
    public const string AlreadyMoving = "SC5009";
    public const string TooLateToCancel = "SC5010";
    public const string NotFound = "SC5011";
    public const string LastShard = "SC5012";
    public const string Unauthenticated = "SC5013";
    public const string Forbidden = "SC5014";
    public const string MethodNotAllowed = "SC5015";
    public const string UnsupportedMediaType = "SC5016";
    public const string IdempotencyKeyReused = "SC5017";
    public const string NotBootstrapped = "SC5018";
    public const string MissingValue = "SC5019";
    public const string BadValue = "SC5020";
    public const string ShardHostFailed = "SC5021";
    public const string StepTimedOut = "SC5022";
    public const string MemberUnreachable = "SC5023";
    public const string MemberFailed = "SC5024";
    public const string ShardBusy = "SC5025";
    public const string Unexpected = "SC5026";
    public const string RehearsalFailed = "SC5027";
    public const string CrashLoop = "SC5028";
    public const string DrainFailed = "SC5029";
    public const string NotThisCloud = "SC5030";
    public const string CloudEnded = "SC5031";
    public const string PackageUnreadable = "SC5040";
    public const string PackageUnsafe = "SC5041";
    public const string PackageManifestBad = "SC5042";
    public const string PackageCannotStart = "SC5043";
    public const string PackageExists = "SC5044";
    public const string UnknownVersion = "SC5045";
    public const string VersionNotNewer = "SC5050";
    public const string UpdateRunning = "SC5051";
    public const string StrategyContradictory = "SC5052";
    public const string SeveralVersions = "SC5053";
    public const string NothingToApprove = "SC5054";
    public const string UpdateTooLate = "SC5055";
    public const string UpdateUnhealthy = "SC5056";
    public const string UpdateFailed = "SC5057";
    public const string PlanUnreadable = "SC5058";
    public const string PlannerUnknown = "SC5059";

    public const string HostThrottled = "SC5060";
    public const string HostForbidden = "SC5061";
    public const string HostFull = "SC5062";
    public const string ForeignSite = "SC5063";
    public const string HostConflict = "SC5064";
    public const string SiteIncomplete = "SC5065";
    public const string HostRefused = "SC5066";
    public const string StopNotConfirmed = "SC5067";

    public const string AffinityUnreadable = "SC5070";
    public const string TraceUnreadable = "SC5071";

    public const string PlacementInputsBad = "SC5080";
    public const string PinsContradict = "SC5081";
    public const string TooManyApart = "SC5082";
    public const string NoCapacity = "SC5083";
    public const string RebalanceRunning = "SC5085";
    public const string RebalanceStopped = "SC5086";

    public const string AppendFailed = "SC6001";
    public const string LogGap = "SC6002";
    public const string LogReplaced = "SC6003";
    public const string StoreUnavailable = "SC6004";
    public const string Incomplete = "SC6005";
    public const string NoCompletePeer = "SC6006";
    public const string ReplicasDiffered = "SC6007";

    public const string NodeMissing = "SC7001";
    public const string NodeTooOld = "SC7002";
    public const string NpmInstallFailed = "SC7003";
    public const string AzuriteDidNotStart = "SC7004";
    public const string PortInUse = "SC7005";
    public const string DataInUse = "SC7006";
    public const string DiskFull = "SC7007";
    public const string NotRunning = "SC7008";
    public const string HandlerDidNotStart = "SC7009";
    public const string FunctionsAppInvalid = "SC7010";
    public const string ShardDidNotStart = "SC7011";
    public const string DemoFailed = "SC7012";
    public const string BadProfile = "SC7013";
    public const string PartGivenUp = "SC7014";
    public const string UnknownTarget = "SC7015";
    public const string FaultNotPossible = "SC7016";
    public const string BadOutputs = "SC7017";
    public const string PackageNotBuilt = "SC7018";
#pragma warning restore CS1591
}
