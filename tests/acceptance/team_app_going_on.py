"""The same app, whose gangs go on without a node that they lose."""

from tests.acceptance.team_app import app

app.conf.resource_gang_member_lost = "continue"
