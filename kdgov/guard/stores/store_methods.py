"""Every public method of MLflow's stores, classified: guarded, or passed on. An unknown one stops the start.

A newer MLflow may add a method that writes; until someone has read it and put it on one of these lists, the guard refuses to
open. Tested from the oldest to the newest supported MLflow.
"""

from __future__ import annotations

from mlflow.exceptions import MlflowException

REGISTRY_GUARDED = frozenset({
    "create_registered_model", "rename_registered_model", "delete_registered_model", "update_registered_model",
    "search_registered_models", "set_registered_model_tag", "delete_registered_model_tag", "create_model_version",
    "update_model_version", "transition_model_version_stage", "delete_model_version", "set_model_version_tag",
    "delete_model_version_tag", "set_registered_model_alias", "delete_registered_model_alias",
})  # fmt: skip
# These read, or they write by calling the guarded methods above (copies and prompts do).
REGISTRY_PASSED = frozenset({
    "get_registered_model", "get_latest_versions", "get_model_version", "get_model_version_download_uri",
    "search_model_versions", "get_model_version_by_alias", "copy_model_version", "create_prompt", "search_prompts",
    "delete_prompt", "set_prompt_tag", "delete_prompt_tag", "get_prompt", "create_prompt_version", "get_prompt_version",
    "delete_prompt_version", "get_prompt_version_by_alias", "set_prompt_alias", "delete_prompt_alias",
    "search_prompt_versions", "link_prompts_to_trace", "set_prompt_version_tag", "delete_prompt_version_tag",
    "link_prompt_version_to_model", "link_prompt_version_to_run", "create_webhook", "get_webhook", "list_webhooks",
    "list_webhooks_by_event", "update_webhook", "delete_webhook", "test_webhook", "supports_workspaces", "ManagedSessionMaker",
    "CREATE_MODEL_VERSION_RETRIES",
})  # fmt: skip

# Take the run's id; refused on a sealed run.
TRACKING_RUN = frozenset({
    "update_run_info", "delete_run", "restore_run", "log_metric", "log_metric_async", "log_param", "log_param_async",
    "set_tag_async", "delete_tag", "log_batch", "log_batch_async", "log_inputs", "log_outputs", "record_logged_model",
    "link_traces_to_run", "unlink_traces_from_run",
})  # fmt: skip
# Guarded by a method of their own.
TRACKING_GUARDED = frozenset({
    "set_tag", "create_experiment", "rename_experiment", "delete_experiment", "set_experiment_tag",
    "delete_experiment_tag", "create_run", "create_logged_model", "start_trace", "deprecated_start_trace_v2",
    "create_issue", "set_logged_model_tags", "delete_logged_model_tag", "delete_logged_model",
    "finalize_logged_model", "log_logged_model_params",
})  # fmt: skip
# Read, or write what no release rests on (traces, datasets, gateway, reviews, skills).
TRACKING_PASSED = frozenset({
    "ARTIFACTS_FOLDER_NAME", "DEFAULT_EXPERIMENT_ID", "EVALUATION_DATASET_ID_PREFIX", "MODELS_FOLDER_NAME",
    "ManagedSessionMaker", "TRACE_FOLDER_NAME", "add_dataset_to_experiments", "add_guardrail_to_endpoint",
    "add_items_to_review_queue", "archive_traces", "attach_model_to_endpoint", "batch_get_trace_infos", "batch_get_traces",
    "calculate_trace_filter_correlation", "create_assessment", "create_budget_policy", "create_dataset",
    "create_endpoint_binding", "create_gateway_endpoint", "create_gateway_guardrail",
    "create_gateway_model_definition", "create_gateway_secret", "create_label_schema",
    "create_mcp_access_endpoint", "create_mcp_server", "create_mcp_server_version",
    "create_review_queue", "delete_assessment", "delete_budget_policy", "delete_dataset",
    "delete_dataset_records", "delete_dataset_tag", "delete_endpoint_binding",
    "delete_gateway_endpoint", "delete_gateway_endpoint_tag", "delete_gateway_guardrail", "delete_gateway_model_definition",
    "delete_gateway_secret", "delete_label_schema", "delete_mcp_access_endpoint", "delete_mcp_server",
    "delete_mcp_server_alias", "delete_mcp_server_tag", "delete_mcp_server_version", "delete_mcp_server_version_tag",
    "delete_review_queue", "delete_scorer", "delete_trace_tag", "delete_traces", "deprecated_end_trace_v2",
    "detach_model_from_endpoint", "end_async_logging", "filter_active_experiment_ids",
    "find_completed_sessions", "flush_async_logging", "get_active_online_scorers", "get_assessment", "get_budget_policy",
    "get_dataset", "get_dataset_experiment_ids", "get_experiment", "get_experiment_by_name", "get_gateway_endpoint",
    "get_gateway_guardrail", "get_gateway_model_definition", "get_issue", "get_label_schema", "get_label_schema_by_name",
    "get_latest_mcp_server_version", "get_logged_model", "get_max_step_for_metric", "get_mcp_access_endpoint",
    "get_mcp_server", "get_mcp_server_version", "get_mcp_server_version_by_alias", "get_mcp_server_versions_for_trace",
    "get_metric_history", "get_metric_history_bulk", "get_metric_history_bulk_interval",
    "get_metric_history_bulk_interval_from_steps", "get_online_scoring_configs", "get_online_trace_details",
    "get_or_create_user_queue", "get_review_queue", "get_review_queue_by_name", "get_run", "get_scorer", "get_secret_info",
    "get_trace", "get_trace_info", "link_mcp_server_versions_to_trace", "link_prompts_to_trace", "list_budget_policies",
    "list_budget_policies_across_workspaces", "list_endpoint_bindings", "list_endpoint_guardrail_configs",
    "list_gateway_endpoints", "list_gateway_guardrails", "list_gateway_model_definitions", "list_label_schemas",
    "list_review_queue_items", "list_review_queues", "list_scorer_versions", "list_scorers",
    "list_scorers_across_experiments", "list_secret_infos", "log_spans", "log_spans_async", "query_trace_metrics",
    "register_scorer", "remove_dataset_from_experiments", "remove_guardrail_from_endpoint",
    "remove_items_from_review_queue", "resolve_endpoint_in_scorer", "resolve_trace_archival_config",
    "restore_experiment", "sanitize_metric_value", "search_datasets", "search_entities_by_destination",
    "search_entities_by_source", "search_experiments", "search_issues", "search_logged_models",
    "search_mcp_access_endpoints", "search_mcp_server_versions", "search_mcp_servers", "search_runs", "search_traces",
    "secret_cache", "set_dataset_tags", "set_gateway_endpoint_tag", "set_mcp_server_alias",
    "set_mcp_server_tag", "set_mcp_server_version_tag", "set_model_versions_tags", "set_review_queue_item_status",
    "set_trace_tag", "shut_down_async_logging", "sum_gateway_trace_cost", "supports_trace_archival",
    "supports_workspaces", "update_assessment", "update_budget_policy", "update_endpoint_guardrail_config",
    "update_gateway_endpoint", "update_gateway_model_definition", "update_gateway_secret", "update_issue",
    "update_label_schema", "update_mcp_access_endpoint", "update_mcp_server", "update_mcp_server_version",
    "update_review_queue", "upsert_dataset_records", "upsert_online_scoring_config",
    # Skills, from 3.18 on: tables of their own; their files lie behind the write-once store.
    "CREATE_SKILL_VERSION_RETRIES", "SET_SKILL_ALIAS_RETRIES", "SKILL_SEARCH_TOKEN_SCOPE",
    "SKILL_VERSION_SEARCH_TOKEN_SCOPE_PREFIX", "bulk_register_skills", "create_skill", "create_skill_version",
    "delete_skill", "delete_skill_alias", "delete_skill_and_collect_artifacts", "delete_skill_tag", "delete_skill_version",
    "delete_skill_version_tag", "get_latest_skill_version", "get_skill", "get_skill_version", "get_skill_version_by_alias",
    "search_skill_versions", "search_skills", "set_skill_alias", "set_skill_tag", "set_skill_version_tag", "update_skill",
    "update_skill_version",
})  # fmt: skip


def refuse_unknown(store_class: type, known: frozenset[str], what: str) -> None:
    """Stop when the store has a public method nobody classified.

    Raises:
        MlflowException: naming the methods.
    """
    unknown = sorted(name for name in dir(store_class) if not name.startswith("_") and name not in known)
    if unknown:
        raise MlflowException(
            f"kdgov does not know {', '.join(unknown)} of this MLflow's {what}, and a guard that does not know a method cannot "
            "guard it: install a supported MLflow (see docs/registry.md), or a newer kdgov."
        )


def refuse_unknown_tracking(store_class: type) -> None:
    """As `refuse_unknown`, for the tracking store."""
    refuse_unknown(store_class, TRACKING_RUN | TRACKING_GUARDED | TRACKING_PASSED, "tracking store")
