-- Which cap a mail waits for, in the store's own word, so that the queue of a cap is those that wait for this very one.
DROP INDEX messages_postponed;
ALTER TABLE messages ADD COLUMN waits_for_cap TEXT;
UPDATE messages SET waits_for_cap = CASE
        WHEN reason LIKE 'caps.mails_per_playbook_per_hour = %' THEN 'playbook'
        WHEN reason LIKE 'caps.mails_per_customer_per_day = %' THEN 'customer'
        ELSE 'recipient'
    END WHERE status = 'pending' AND reason LIKE 'caps.%';
