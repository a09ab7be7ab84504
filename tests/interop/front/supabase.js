// Stands for the client of Supabase: its session is what the test says it is now.

export const supabase = {
  auth: {
    getSession: async () => {
      window.askedForSession = (window.askedForSession ?? 0) + 1;
      return { data: { session: window.accessToken ? { access_token: window.accessToken } : null }, error: null };
    },
  },
};
