-- Why an erasure closed a card while it waited; null where none did. The denial that closed it says so, by the
-- rule that is ERASED_RULE in chimera/models/gate/deciding.py. It has its caller's rights: of other tenants it sees nothing.
create function erasure_reason(card review_card) returns text language sql stable parallel safe
begin atomic
    select case when card.status = 'denied' and card.erased_at is not null then (
        select e ->> 'value' from decision d, json_array_elements(d.reasons) e
         where d.tenant_id = card.tenant_id and d.task_id = card.task_id and d.attempt = card.attempt and d.final
           and e ->> 'rule' = 'erased') end;
end;
