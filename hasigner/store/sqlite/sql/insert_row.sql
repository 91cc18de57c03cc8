-- Inserts a row as it was exported.
--
-- ?1 … ?15: its columns, in the order of {duty_columns}
insert into validator_duties ({duty_columns})
values (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)
