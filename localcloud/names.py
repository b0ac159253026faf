"""The words on which the launcher and those who start it agree."""

HEALTH_PATH = "/_wetread/health"
TETHER_VARIABLE = "WETREAD_TETHER"
