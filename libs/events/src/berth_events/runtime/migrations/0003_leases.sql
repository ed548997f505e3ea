-- There are few leases: going through work_leased_key finds those that ran out. With two indexes of them the planner took this one, and
-- with it all leases, where it was to look a single key up.
DROP INDEX work_leased;
