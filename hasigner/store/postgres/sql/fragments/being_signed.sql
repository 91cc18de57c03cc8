-- For statements about given duties. The collation is not that of the index on the status: otherwise statistics that
-- say that hardly anything is being signed would lead the planner through everything that is.
d.status collate "C" = 'signing'
