// How people are called.

export const nameOf = (user) => user.display_name || user.name || `@${user.user_id.slice(0, 8)}`;
