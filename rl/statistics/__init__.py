"""Pure statistics: intervals, routers, what a group says about its problem."""
