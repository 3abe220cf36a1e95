"""Gives to moto, an AWS of somebody else's in this process, what a template makes, as CloudFormation would: by one call
of boto3 for each resource, its properties unchanged but for their spelling. Prints what moto then has. It knows no
composite alarms; those are passed over.

    moto_accepts.py RESOURCES.json      the `resources` that resolved.py prints
"""

import json
import sys
from pathlib import Path

import boto3
from moto import mock_aws


def camel(value):
    """Properties as the API of the logs spells them."""
    if isinstance(value, list):
        return [camel(one) for one in value]
    if isinstance(value, dict):
        return {name[0].lower() + name[1:]: camel(one) for name, one in value.items()}
    return value


def budget(properties):
    about = dict(properties["Budget"])
    about["BudgetLimit"] = {name: str(value) for name, value in about["BudgetLimit"].items()}
    return {
        "AccountId": "000000000000",
        "Budget": about,
        "NotificationsWithSubscribers": properties["NotificationsWithSubscribers"],
        "ResourceTags": properties["ResourceTags"],
    }


@mock_aws
def accepted(resources):
    cloudwatch = boto3.client("cloudwatch")
    logs = boto3.client("logs")
    budgets = boto3.client("budgets")
    messages = []
    for resource in resources.values():
        properties = resource["Properties"]
        match resource["Type"]:
            case "AWS::CloudWatch::Alarm":
                cloudwatch.put_metric_alarm(**properties)
            case "AWS::CloudWatch::Dashboard":
                answer = cloudwatch.put_dashboard(**properties)
                messages += answer["DashboardValidationMessages"]
            case "AWS::Logs::MetricFilter":
                group = properties["LogGroupName"]
                if not logs.describe_log_groups(logGroupNamePrefix=group)["logGroups"]:
                    logs.create_log_group(logGroupName=group)
                logs.put_metric_filter(**camel(properties))
            case "AWS::Budgets::Budget":
                budgets.create_budget(**budget(properties))
    alarms = cloudwatch.describe_alarms(MaxRecords=100)
    dashboards = [one["DashboardName"] for one in cloudwatch.list_dashboards()["DashboardEntries"]]
    return {
        "alarms": sorted(one["AlarmName"] for one in alarms["MetricAlarms"]),
        "dashboards": {
            name: json.loads(cloudwatch.get_dashboard(DashboardName=name)["DashboardBody"]) for name in dashboards
        },
        "filters": sorted(one["filterName"] for one in logs.describe_metric_filters()["metricFilters"]),
        "budgets": sorted(
            [one["BudgetName"], one["TimeUnit"], float(one["BudgetLimit"]["Amount"]), one["BudgetLimit"]["Unit"]]
            for one in budgets.describe_budgets(AccountId="000000000000")["Budgets"]
        ),
        "messages": messages,
    }


print(json.dumps(accepted(json.loads(Path(sys.argv[1]).read_text()))))
