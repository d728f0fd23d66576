"""The events that each of Jira's APIs can announce. What they make old stands in policies/events.yaml."""

DYNAMIC = (
    "jira:issue_created",
    "jira:issue_updated",
    "jira:issue_deleted",
    "issue_property_set",
    "issue_property_deleted",
    "comment_created",
    "comment_updated",
    "comment_deleted",
    "jira:version_released",
    "jira:version_unreleased",
    "jira:version_created",
    "jira:version_moved",
    "jira:version_updated",
    "jira:version_merged",
    "jira:version_deleted",
    "sprint_created",
    "sprint_updated",
    "sprint_deleted",
    "sprint_started",
    "sprint_closed",
)
"""What an app on Cloud may ask for."""

# An administrator hears of a merged version by jira:version_deleted.
_EVERYWHERE = (
    *(event for event in DYNAMIC if event != "jira:version_merged"),
    "worklog_created",
    "worklog_updated",
    "worklog_deleted",
    "attachment_created",
    "attachment_deleted",
    "issuelink_created",
    "issuelink_deleted",
    "project_created",
    "project_updated",
    "project_deleted",
    "user_created",
    "user_updated",
    "user_deleted",
    "option_voting_changed",
    "option_watching_changed",
    "option_unassigned_issues_changed",
    "option_subtasks_changed",
    "option_issuelinks_changed",
    "option_timetracking_changed",
    "board_created",
    "board_updated",
    "board_deleted",
    "board_configuration_changed",
)

CLOUD = (
    *_EVERYWHERE,
    "issuetype_created",
    "issuetype_updated",
    "issuetype_deleted",
    "project_soft_deleted",
    "project_restored_deleted",
    "project_archived",
    "project_restored_archived",
    "filter_created",
    "filter_updated",
    "filter_deleted",
    "option_timetracking_provider_changed",
)
"""What an administrator of Cloud can choose, but for what tells only apps something of themselves."""

DATA_CENTER = (*_EVERYWHERE, "option_attachments_changed")
"""What an administrator of Data Center can choose, of either generation."""
