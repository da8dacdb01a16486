-- IN: now, counter. Holds of it settle where they were taken: nowhere any more.
redis.call('DEL', P .. 'c:' .. IN[2], P .. 'b:' .. IN[2])
return {0, NOW}
