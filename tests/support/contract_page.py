"""The example of the public "Create Trigger" page."""

# The example call of the page, character for character.
PAGE = """\
    async function createTrigger(integrationId) {
      const response = await axios.post(
        `https://api.odeus.ai/integrations/v1/${integrationId}/triggers/create`,
        {
          name: "New Issue Created",
          description: "Triggers when a new issue is created in the project tracker",
          pollingCode: `
            const response = await fetch('https://api.example.com/issues?since=' + lastPollTime, {
              headers: {
                'Authorization': 'Bearer ' + secrets.API_TOKEN
              }
            });
    
            if (!response.ok) {
              throw new Error('Failed to fetch issues');
            }
    
            const issues = await response.json();
            return issues.map(issue => ({
              id: issue.id,
              title: issue.title,
              description: issue.description,
              createdAt: issue.created_at
            }));
          `,
          inputFields: [
            {
              label: "Project ID",
              type: "TEXT",
              description: "The ID of the project to monitor",
              placeholder: "e.g., proj_123",
              required: true
            },
            {
              label: "Priority Filter",
              type: "SELECT",
              description: "Only trigger for issues with this priority",
              options: [
                { label: "All", value: "all" },
                { label: "High", value: "high" },
                { label: "Medium", value: "medium" },
                { label: "Low", value: "low" }
              ],
              required: false
            }
          ]
        },
        {
          headers: {
            Authorization: "Bearer YOUR_API_KEY",
            "Content-Type": "application/json"
          }
        }
      );
    
      console.log("Created trigger:", response.data.trigger);
    }
    
"""  # noqa: W293
_, _, _rest = PAGE.partition("pollingCode: `")
POLLING_CODE, _, _ = _rest.partition("`,")
