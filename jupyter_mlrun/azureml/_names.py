"""The table: every module of azureml that exists here, its names, and the place of ours that each means.

A place is ``module:name`` under jupyter_mlrun; of several the first that is installed counts (runs on a compute
without the package have what the worker brought).  ``Absent`` says what to use instead, ``Never`` is an
exception that nothing here raises.  Reads and writes nothing.  Standard library only (Python 3.9+).
"""

from __future__ import annotations


class Absent(str):
    """Why a name is not here, as the end of a sentence; using the name raises it."""

    __slots__ = ()


class Never(str):
    """An exception that can be named in ``except``, but that nothing here raises."""

    __slots__ = ()


def _at(module: str, names: str) -> dict[str, str]:
    return {name: f"{module}:{name}" for name in names.split()}


def _absent(names: str, instead: str) -> dict[str, str]:
    return {name: Absent(instead) for name in names.split()}


def _error(kind: str, names: str) -> dict[str, str]:
    return dict.fromkeys(names.split(), f"errors:{kind}")


def _never(names: str) -> dict[str, str]:
    return {name: Never("Nothing here raises this; it can be named in except.") for name in names.split()}


_ESTIMATOR = "comes in a later version: use ScriptRunConfig"
_SWEEP = "comes in a later version: submit a ScriptRunConfig for each set of arguments"
_PIPELINE = "is not here: submit one run after the other, wait_for_completion() between them"
_SERVE = "is not here: get the files with Model.download() and load them in your own program"
_TABLE = "is not here: use Dataset.File and read the files with pandas"
_CLOUD_STORE = "is not here: use Datastore and Dataset.File with files of this machine"
_CLOUD = "is not here: use AmlCompute or compute_target='local'"
_IMAGE = "is not here: runs use the interpreter of the submitter or of an Environment"
_PLAN = "is not here: set the same on ScriptRunConfig"
_SECRETS = "is not here: give secrets as environment variables (--env-var, environment_variables)"
_AUTOML = "is not here: submit a script that uses the library of your choice, with ScriptRunConfig"
_EXPLAIN = "is not here: call the explainer in the script and keep its output under ./outputs"
_BOARD = "comes in a later version: run `tensorboard --logdir` on the logs folder of the run"
_OUTPUT = "is not here: write to ./outputs, which is kept with the run"
_LINKED = "is not here: a workspace is a folder of this machine"

_RUN = "sdk.run:Run worker.context:RunContext"
_VERSION = {"VERSION": "_version:__version__", "__version__": "_version:__version__"}
_WORKSPACE = _at("sdk.workspace", "Workspace")
_EXPERIMENT = _at("sdk.experiment", "Experiment")
_CONFIG = _at("sdk.runconfig", "ScriptRunConfig")
_DISTRIBUTED = _at("sdk.runconfig", "MpiConfiguration PyTorchConfiguration TensorflowConfiguration")
_ENVIRONMENT = _at("sdk.environments", "Environment")
_CONDA = _at("sdk.conda", "CondaDependencies")
_DATASTORE = _at("sdk.data", "Datastore")
_DATASET = _at("sdk.data", "Dataset")
_FILES = _at("sdk.data", "FileDataset")
_REFERENCE = _at("sdk.data", "DataReference")
_PATH = _at("sdk.data", "DataPath")
_INPUT = _at("sdk.data", "DatasetConsumptionConfig")
_OUTPUT_FILES = _absent("OutputFileDatasetConfig", _OUTPUT)
_MODEL = _at("sdk.model", "Model")
_COMPUTES = _at("sdk.compute", "ComputeTarget AmlCompute RemoteCompute")
_NO_COMPUTE = {"ComputeTargetException": "sdk.compute:ComputeTargetException errors:NotFound"}
_DETAILS = _at("sdk.details", "RunDetails")
_IMAGES = _at("azureml._parts", "DEFAULT_CPU_IMAGE DEFAULT_GPU_IMAGE")

_OTHER_COMPUTES = _absent(
    "AdlaCompute AksCompute BatchAiCompute BatchCompute ComputeInstance DataFactoryCompute DatabricksCompute "
    "DsvmCompute HDInsightCompute KubernetesCompute ManagedCompute SynapseCompute",
    _CLOUD,
)
_WEBSERVICES = _absent("AciWebservice AksEndpoint AksWebservice LocalWebservice Webservice", _SERVE)
_TABULAR = _absent("TabularDataset TabularDatasetFactory", _TABLE)
# the default datastore was a blob container: programs ask with isinstance
_BLOB_STORE = {"AzureBlobDatastore": "sdk.data:Datastore"}
_LOGIN = _at(
    "azureml._parts",
    "AbstractAuthentication ArcTokenAuthentication AzureCliAuthentication InteractiveLoginAuthentication "
    "MsiAuthentication ServicePrincipalAuthentication TokenAuthentication",
)

_EXCEPTIONS = {
    # of several of ours the nearest common base, so that `except` catches each of them
    **_error(
        "JupyterMLRunError",
        "AzureMLException AzureMLServiceException DatasetExecutionError ExperimentExecutionException LocalException "
        "ProjectSystemException TrainingException UserErrorException WebserviceException WorkspaceException",
    ),
    **_error("BadInput", "ArgumentException DatasetValidationError RunConfigurationException"),
    **_NO_COMPUTE,
    **_error("NotFound", "ExperimentNotFoundException ModelNotFoundException"),
    **_error("NotFound", "ModelPathNotFoundException"),
    **_error("RunFailed", "ActivityFailedException RunKilledException"),
    **_error("RunEnvironmentError", "RunEnvironmentException"),
    **_error("SnapshotError", "SnapshotException"),
    **_never(
        "AdbException AuthenticationException CredentialsExpireInFuture DatabaseException ImageException "
        "OptionalDependencyMissingException RemoteException ServiceException UnexpectedError UnsupportedPyPIPackage"
    ),
}

_EXPRESSIONS = "choice lognormal loguniform normal qlognormal qloguniform qnormal quniform randint uniform"
_POLICIES = "BanditPolicy EarlyTerminationPolicy MedianStoppingPolicy NoTerminationPolicy TruncationSelectionPolicy"
_SAMPLINGS = "BayesianParameterSampling GridParameterSampling HyperParameterSampling RandomParameterSampling"
_SWEEPS = "HyperDriveConfig HyperDriveRunConfig PrimaryMetricGoal"
_SWEEP_ERRORS = _never(
    "HyperDriveConfigException HyperDriveException HyperDriveNotImplementedException HyperDriveRehydrateException "
    "HyperDriveScenarioNotSupportedException HyperDriveServiceException"
)
_STEPS = (
    "AdlaStep AutoMLStep AzureBatchStep CommandStep DataTransferStep DatabricksStep EstimatorStep HyperDriveStep "
    "HyperDriveStepRun KustoStep ModuleStep MpiStep ParallelRunConfig ParallelRunStep PythonScriptStep RScriptStep "
    "SynapseSparkStep"
)
_PIPELINES = (
    "InputPortBinding Module ModuleVersion OutputPortBinding Pipeline PipelineData PipelineDataset PipelineDraft "
    "PipelineEndpoint PipelineOutputFileDataset PipelineOutputTabularDataset PipelineParameter PipelineRun "
    "PipelineStep PortDataReference PublishedPipeline Schedule ScheduleRecurrence StepRun StepRunOutput StepSequence "
    "TrainingOutput"
)

MODULES: dict[str, dict[str, str]] = {
    "core": {
        **_VERSION,
        **_WORKSPACE,
        **_EXPERIMENT,
        "Run": _RUN,
        **_CONFIG,
        **_at("sdk.runconfig", "RunConfiguration"),
        **_ENVIRONMENT,
        **_DATASET,
        **_DATASTORE,
        **_MODEL,
        **_at("sdk.compute", "ComputeTarget"),
        **_absent("Keyvault", _SECRETS),
        **_absent("Webservice", _SERVE),
        **_absent("Image ContainerImage", _IMAGE),
        **_absent("LinkedService SynapseWorkspace", _LINKED),
    },
    "core.authentication": {**_LOGIN, **_never("AuthenticationException")},
    "core.compute": {
        **_COMPUTES,
        **_OTHER_COMPUTES,
        **_NO_COMPUTE,
    },
    "core.compute.amlcompute": {
        **_at("sdk.compute", "AmlCompute"),
        **_at("sdk.compute", "AmlComputeStatus AmlComputeNodeStateCounts ScaleSettings"),
        **_at("sdk.compute", "AmlComputeProvisioningConfiguration"),
    },
    "core.compute.compute": {
        **_at("sdk.compute", "ComputeTarget"),
        **_absent(
            "ComputeTargetAttachConfiguration ComputeTargetProvisioningConfiguration ComputeTargetUpdateConfiguration",
            "is not here: use AmlCompute.provisioning_configuration()",
        ),
    },
    "core.compute.remote": _at("sdk.compute", "RemoteCompute RemoteComputeAttachConfiguration"),
    "core.compute_target": {**_NO_COMPUTE, **_at("sdk.compute", "ComputeTarget")},
    "core.conda_dependencies": {
        **_CONDA,
        **_at(
            "azureml._parts",
            "BASE_PROJECT_FILE_RELATIVE_PATH BASE_PROJECT_MODULE DEFAULT_SDK_ORIGIN INVALID_PATHON_MESSAGE "
            "CHANNELS CHAINER_PACKAGE_PREFIX CNTK_DEFAULT_VERSION CNTK_PACKAGE_PREFIX CONDA_FILE_NAME CPU "
            "CUPY_DEFAULT_VERSION DEFAULT_CHAINER_VERSION GPU HOROVOD_DEFAULT_VERSION LINUX_PLATFORM PACKAGES PIP "
            "PYTHON_DEFAULT_VERSION PYTHON_PREFIX PYTORCH_DEFAULT_VERSION PYTORCH_PACKAGE_PREFIX "
            "TENSORFLOW_DEFAULT_VERSION TENSORFLOW_PACKAGE_PREFIX TORCHVISION_DEFAULT_VERSION "
            "TORCHVISION_PACKAGE_PREFIX VERSION_REGEX WINDOWS_PLATFORM",
        ),
    },
    "core.container_registry": {"ContainerRegistry": "sdk.sections:Registry"},
    "core.dataset": {**_DATASET, **_FILES, **_TABULAR},
    "core.datastore": _DATASTORE,
    "core.environment": {
        **_ENVIRONMENT,
        **_CONDA,
        **_IMAGES,
        **_at("sdk.sections", "DockerSection PythonSection"),
        "DockerEnvironment": "sdk.sections:DockerSection",
        "PythonEnvironment": "sdk.sections:PythonSection",
        **_absent(
            "DockerBuildContext DockerImageDetails DockerImagePlatform ImageBuildDetails RCranPackage RGitHubPackage "
            "RSection SparkEnvironment SparkPackage SparkSection",
            _IMAGE,
        ),
        **_absent("EnvironmentReference", "is not here: use Environment.get(workspace, name, version)"),
    },
    "core.experiment": {**_EXPERIMENT, **_at("sdk.experiment", "ViewType")},
    "core.image": _absent("ContainerImage Image", _IMAGE),
    "core.keyvault": _absent("Keyvault", _SECRETS),
    "core.linked_service": _absent("LinkedService", _LINKED),
    "core.model": {
        **_MODEL,
        **_at("azureml._parts", "MODELS_DIR"),
        **_absent("InferenceConfig ModelPackage", _SERVE),
        **_error("NotFound", "ModelNotFoundException"),
    },
    "core.private_endpoint": _absent("PrivateEndPoint PrivateEndPointConfig", _LINKED),
    "core.profile": _absent("ModelProfile", _SERVE),
    "core.resource_configuration": _at("azureml._parts", "ResourceConfiguration"),
    "core.run": {
        "Run": _RUN,
        "_SubmittedRun": _RUN,
        **_at("sdk.run", "_OfflineRun RUNNING_STATES POST_PROCESSING_STATES get_run"),
        **_at("worker.context", "InputDatasets OutputDatasets"),
        **_absent("LinkOutput", _OUTPUT),
    },
    "core.runconfig": {
        **_at("sdk.runconfig", "RunConfiguration DockerConfiguration"),
        **_DISTRIBUTED,
        **_CONDA,
        **_IMAGES,
        "EnvironmentDefinition": "sdk.environments:Environment",
        "MPI_CPU_IMAGE": "azureml._parts:DEFAULT_CPU_IMAGE",
        "MPI_GPU_IMAGE": "azureml._parts:DEFAULT_GPU_IMAGE",
        **_at(
            "azureml._parts",
            "LOCAL_RUNCONFIG_NAME SUPPORTED_DATAREF_MODES SUPPORTED_DELIVERY_MECHANISM SUPPORTED_PYTORCH_BACKENDS",
        ),
        "ContainerRegistry": "sdk.sections:Registry",
        **_absent("AzureContainerRegistry", _IMAGE),
        **_absent("AmlComputeConfiguration HdiConfiguration KubernetesComputeConfiguration SparkConfiguration", _CLOUD),
        **_absent("ApplicationEndpointConfiguration HistoryConfiguration ParallelTaskConfiguration", _PLAN),
        **_absent(
            "Data DataLocation DataPath DataReferenceConfiguration DatacacheConfiguration Dataset "
            "DatasetRegistrationOptions GlobsOptions MountOptions OutputData OutputOptions RegistrationOptions "
            "UploadOptions Uri",
            "is not here: give the dataset itself among the arguments, as dataset.as_named_input(name).as_mount()",
        ),
    },
    "core.script_run": {"ScriptRun": "sdk.run:Run"},
    "core.script_run_config": {
        **_CONFIG,
        **_absent("get_run_config_from_script_run", _PLAN),
        **_absent("submit", "is not here: use Experiment.submit(config)"),
    },
    "core.webservice": {**_WEBSERVICES, **_error("JupyterMLRunError", "WebserviceException")},
    "core.webservice.aci": _absent("AciServiceDeploymentConfiguration AciWebservice", _SERVE),
    "core.webservice.aks": _absent("AksEndpoint AksServiceDeploymentConfiguration AksWebservice", _SERVE),
    "core.webservice.local": _absent("LocalWebservice LocalWebserviceDeploymentConfiguration", _SERVE),
    "core.webservice.webservice": _absent("Webservice WebserviceDeploymentConfiguration", _SERVE),
    "core.workspace": {**_WORKSPACE, **_at("azureml._parts", "WORKSPACE_DEFAULT_BLOB_STORE_NAME")},
    "data": {
        **_FILES,
        **_TABULAR,
        **_OUTPUT_FILES,
        "FileDatasetFactory": "sdk.data:Dataset.File",
        **_absent("DataType", _TABLE),
        **_absent("HDFSOutputDatasetConfig LinkFileOutputDatasetConfig LinkTabularOutputDatasetConfig", _OUTPUT),
    },
    "data.abstract_dataset": {"AbstractDataset": "sdk.data:FileDataset"},
    "data.abstract_datastore": {"AbstractDatastore": "sdk.data:Datastore"},
    "data.azure_data_lake_datastore": _absent(
        "AbstractADLSDatastore AzureDataLakeDatastore AzureDataLakeGen2Datastore", _CLOUD_STORE
    ),
    "data.azure_my_sql_datastore": _absent("AzureMySqlDatastore", _CLOUD_STORE),
    "data.azure_postgre_sql_datastore": _absent("AzurePostgreSqlDatastore", _CLOUD_STORE),
    "data.azure_sql_database_datastore": _absent("AzureSqlDatabaseDatastore", _CLOUD_STORE),
    "data.azure_storage_datastore": {
        **_BLOB_STORE,
        "AbstractAzureStorageDatastore": "sdk.data:Datastore",
        **_absent("AzureFileDatastore", _CLOUD_STORE),
        **_at("azureml._parts", "EMPTY_FILE FILE FOLDER"),
    },
    "data.context_managers": _absent(
        "DatasetContextManager DatastoreContextManager", "is not here: use FileDataset.mount() as a context"
    ),
    "data.data_reference": _REFERENCE,
    "data.datapath": {**_PATH, **_absent("DataPathComputeBinding", "is not here: use Datastore.path(…).as_mount()")},
    "data.dataset_consumption_config": _INPUT,
    "data.dataset_error_handling": {
        **_error("BadInput", "DatasetValidationError"),
        **_error("JupyterMLRunError", "DatasetExecutionError"),
    },
    "data.dataset_factory": {
        "FileDatasetFactory": "sdk.data:Dataset.File",
        **_absent("DataType TabularDatasetFactory", _TABLE),
    },
    "data.dataset_type_definitions": _absent("FileEncoding PromoteHeadersBehavior", _TABLE),
    "data.datacache": _absent("DatacacheStore", _CLOUD_STORE),
    "data.file_dataset": {**_FILES, **_at("azureml._parts", "FILENAME_LENGTH_ERROR_MESSAGE")},
    "data.hdfs_datastore": _absent("HDFSDatastore", _CLOUD_STORE),
    "data.output_dataset_config": {
        **_OUTPUT_FILES,
        **_absent(
            "OutputDatasetConfig HDFSOutputDatasetConfig LinkFileOutputDatasetConfig LinkTabularOutputDatasetConfig "
            "OutputTabularDatasetConfig TransformationMixin",
            _OUTPUT,
        ),
        **_absent("MountOptions UploadOptions RegistrationConfiguration", _OUTPUT),
    },
    "data.tabular_dataset": _absent("TabularDataset", _TABLE),
    "data.stored_procedure_parameter": _absent("StoredProcedureParameter StoredProcedureParameterType", _CLOUD_STORE),
    "exceptions": {**_EXCEPTIONS, **_SWEEP_ERRORS},
    "automl": {},
    "automl.core": _absent("AutoMLConfig", _AUTOML),
    "contrib": {},
    "contrib.interpret": _absent("ExplanationClient", _EXPLAIN),
    "interpret": _absent("ExplanationClient", _EXPLAIN),
    "opendatasets": _absent("MNIST Diabetes NycTlcGreen NycTlcYellow PublicHolidays", _TABLE),
    "pipeline": {},
    "pipeline.core": _absent(_PIPELINES, _PIPELINE),
    "pipeline.core.graph": _absent("PipelineParameter", _PIPELINE),
    "pipeline.core.pipeline": _absent("Pipeline", _PIPELINE),
    "pipeline.core.pipeline_data": _absent("PipelineData", _PIPELINE),
    "pipeline.core.run": _absent("PipelineRun StepRun", _PIPELINE),
    "pipeline.core.schedule": _absent("Schedule ScheduleRecurrence", _PIPELINE),
    "pipeline.steps": _absent(_STEPS, _PIPELINE),
    "telemetry": _at("azureml._parts", "set_diagnostics_collection"),
    "tensorboard": _absent("Tensorboard", _BOARD),
    "tensorboard.export": _absent("export_to_tensorboard", _BOARD),
    "tensorboard.tensorboard": _absent("Tensorboard", _BOARD),
    "train": {},
    "train.automl": _absent("AutoMLConfig", _AUTOML),
    "train.automl.run": _absent("AutoMLRun", _AUTOML),
    "train._distributed_training": _absent("Gloo Mpi Nccl ParameterServer", _ESTIMATOR),
    "train.dnn": _absent("Chainer Gloo Mpi Nccl ParameterServer PyTorch TensorFlow", _ESTIMATOR),
    "train.dnn._pytorch": _absent("PyTorch", _ESTIMATOR),
    "train.dnn._tensorflow": _absent("TensorFlow", _ESTIMATOR),
    "train.estimator": _absent("Estimator Mpi", _ESTIMATOR),
    "train.estimator._estimator": _absent("Estimator", _ESTIMATOR),
    "train.hyperdrive": {
        **_absent(f"{_EXPRESSIONS} {_POLICIES} {_SAMPLINGS} {_SWEEPS} HyperDriveRun", _SWEEP),
        **_SWEEP_ERRORS,
    },
    "train.hyperdrive.exceptions": _SWEEP_ERRORS,
    "train.hyperdrive.parameter_expressions": _absent(_EXPRESSIONS, _SWEEP),
    "train.hyperdrive.policy": _absent(_POLICIES, _SWEEP),
    "train.hyperdrive.run": {
        **_absent("HyperDriveRun", _SWEEP),
        **_at("azureml._parts", "TERMINAL_STATES"),
    },
    "train.hyperdrive.runconfig": {
        **_absent(_SWEEPS, _SWEEP),
        **_at(
            "azureml._parts",
            "HYPERDRIVE_URL_SUFFIX MAX_DURATION_MINUTES MAX_PARENT_RUNS RECOMMENDED_MAX_CONCURRENT_RUNS_BAYESIAN "
            "RECOMMENDED_MIN_RUNS_PER_PARAMETER_BAYESIAN RESUME_FROM_TOTAL_RUNS TERMINAL_STATES",
        ),
    },
    "train.hyperdrive.sampling": _absent(_SAMPLINGS, _SWEEP),
    "train.sklearn": _absent("SKLearn", _ESTIMATOR),
    "train.widgets": _DETAILS,
    "widgets": _DETAILS,
    "widgets.run_details": _DETAILS,
}
