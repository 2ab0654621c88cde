//! Cache keys, demand, schedule; generic over operations.
